"""A paragraph in each of many languages, for the matrix of encodings. All are about the same harbour and its pump."""

from __future__ import annotations

TEXTS = {
    "English": (
        "The pump at the old harbour was installed by José Müller in 1987 – nobody remembers why. It moves “about nine "
        "litres” a second, which is enough for the café on the quay. Every Monday the keeper opens the valve, listens "
        "for a minute, and writes down what he hears. If it’s quiet, he goes home; if not, he calls his sister Zoë, "
        "who knows the façade of every machine in town."
    ),
    "French": (
        "La pompe du vieux port a été installée en été par un ouvrier déjà âgé. Elle élève près de neuf litres à la "
        "seconde, ce qui suffit même à la fête du mois d'août. Chaque lundi, le gardien ouvre la vanne, écoute où ça "
        "coule et note ce qu'il a entendu. Si tout est calme, il rentre chez lui ; sinon, il téléphone à sa sœur, "
        "ingénieure à l'hôpital, qui connaît très bien les modèles français."
    ),
    "German": (
        "Die Pumpe am alten Hafen wurde vor vielen Jahren für die Fischer gebaut. Sie fördert ungefähr neun Liter in "
        "der Sekunde, was für die größten Schiffe genügt. Jeden Montag öffnet der Wärter das Ventil, hört eine Minute "
        "zu und schreibt auf, was er gehört hat. Ist es ruhig, geht er über die Brücke nach Hause; sonst ruft er seine "
        "Schwester an, die früher Müllerin war und alle Geräusche kennt."
    ),
    "Spanish": (
        "La bomba del puerto viejo se instaló hace más de treinta años. Eleva unos nueve litros por segundo, y eso "
        "bastará también mañana. Cada lunes el señor Núñez abre la válvula, escucha un minuto y apunta lo que oyó. ¿Y "
        "si no hay ningún ruido? Entonces vuelve a su casa; si no, llamará a su compañera, la ingeniera de la fábrica, "
        "que aprendió el oficio con su tío cuando aún era una niña pequeña."
    ),
    "Swedish": (
        "Pumpen i den gamla hamnen byggdes för många år sedan av en snickare från Göteborg. Den lyfter ungefär nio "
        "liter på en sekund, och det räcker även när båtarna är fulla. Varje måndag öppnar vakten ventilen, lyssnar en "
        "stund och skriver ner vad han har hört. Är det tyst går han hem över bron; annars ringer han sin äldre "
        "syster, som är ingenjör och känner igen varje fel på ljudet."
    ),
    "Czech": (
        "Čerpadlo ve starém přístavu postavil před mnoha lety dělník z Plzně. Zvedne přibližně devět litrů za vteřinu, "
        "což stačí i největším lodím. Každé pondělí otevře strážce ventil, chvíli naslouchá a zapíše, co slyšel. Když "
        "je ticho, jde přes most domů; jinak volá své sestře, která je inženýrka a každou závadu pozná podle zvuku. "
        "Šťastný člověk nepotřebuje příliš mnoho věcí, říká vždycky."
    ),
    "Polish": (
        "Pompę w starym porcie zbudował przed laty pewien robotnik z Łodzi. Podnosi około dziewięciu litrów na "
        "sekundę, co wystarcza nawet największym statkom. W każdy poniedziałek strażnik otwiera zawór, przez chwilę "
        "słucha i zapisuje, co usłyszał. Jeśli jest cicho, wraca do domu przez most; jeśli nie, dzwoni do siostry, "
        "która jest inżynierem i każdą usterkę rozpoznaje po dźwięku."
    ),
    "Hungarian": (
        "A régi kikötő szivattyúját sok évvel ezelőtt egy győri munkás építette. Másodpercenként körülbelül kilenc "
        "litert emel, ami a legnagyobb hajóknak is elegendő. Minden hétfőn az őr kinyitja a szelepet, egy percig "
        "figyel, és leírja, amit hallott. Ha csönd van, átmegy a hídon és hazatér; ha nem, fölhívja a nővérét, aki "
        "mérnök, és minden hibát megismer a hangjáról. Jó gép, hűvös víz."
    ),
    "Croatian": (
        "Crpku u staroj luci sagradio je prije mnogo godina radnik iz Čakovca. Diže otprilike devet litara u sekundi, "
        "što je dovoljno i najvećim brodovima. Svakoga ponedjeljka čuvar otvara ventil, sluša nekoliko časaka i "
        "zapisuje što je čuo. Ako je tiho, ide preko mosta kući; inače zove svoju sestru, koja je inženjerka i svaku "
        "grešku prepoznaje po zvuku. Željezo još uvijek drži, kaže đak."
    ),
    "Lithuanian": (
        "Siurblį senajame uoste prieš daugelį metų pastatė vienas darbininkas iš Šiaulių. Jis pakelia apie devynis "
        "litrus per sekundę, ir to užtenka net didžiausiems laivams. Kiekvieną pirmadienį sargas atidaro vožtuvą, "
        "minutę klausosi ir užrašo, ką išgirdo. Jeigu tylu, jis eina namo per tiltą; jeigu ne, skambina seseriai, kuri "
        "yra inžinierė ir kiekvieną gedimą pažįsta iš garso."
    ),
    "Turkish": (
        "Eski limandaki pompayı yıllar önce İzmirli bir işçi kurdu. Saniyede yaklaşık dokuz litre su çeker; bu, en "
        "büyük gemiler için bile yeterlidir. Bekçi her pazartesi vanayı açar, bir süre dinler ve duyduğunu yazar. Ses "
        "yoksa köprüden geçip evine gider; varsa mühendis olan kız kardeşini arar, çünkü o her arızayı sesinden tanır. "
        "Yağmurlu günlerde ise kimse dışarı çıkmaz."
    ),
    "Russian": (
        "Насос в старом порту много лет назад построил рабочий из Тулы. Он поднимает около девяти литров в секунду, и "
        "этого хватает даже самым большим судам. Каждый понедельник сторож открывает клапан, слушает минуту и "
        "записывает, что услышал. Если тихо, он идёт через мост домой; если нет, звонит сестре, которая работает "
        "инженером и узнаёт любую поломку по звуку."
    ),
    "Ukrainian": (
        "Насос у старому порту багато років тому збудував робітник із Києва. Він піднімає близько дев'яти літрів за "
        "секунду, і цього вистачає навіть найбільшим кораблям. Щопонеділка сторож відкриває клапан, слухає хвилину й "
        "записує, що почув. Якщо тихо, він іде через міст додому; якщо ні, телефонує сестрі, яка є інженеркою і "
        "впізнає кожну несправність за звуком. Їжа й вода є завжди."
    ),
    "Greek": (
        "Την αντλία στο παλιό λιμάνι την έχτισε πριν από πολλά χρόνια ένας εργάτης από τη Λάρισα. Ανεβάζει περίπου "
        "εννέα λίτρα το δευτερόλεπτο, και αυτό αρκεί ακόμη και για τα μεγαλύτερα πλοία. Κάθε Δευτέρα ο φύλακας ανοίγει "
        "τη βαλβίδα, ακούει για λίγο και γράφει τι άκουσε. Αν είναι ήσυχα, γυρίζει στο σπίτι του· αλλιώς παίρνει "
        "τηλέφωνο την αδελφή του."
    ),
    "Hebrew": (
        "את המשאבה בנמל הישן בנה לפני שנים רבות פועל מחיפה. היא מעלה כתשעה ליטרים בשנייה, וזה מספיק אפילו לאוניות "
        "הגדולות ביותר. בכל יום שני פותח השומר את השסתום, מקשיב דקה אחת ורושם מה ששמע. אם שקט, הוא הולך הביתה דרך "
        "הגשר; אם לא, הוא מתקשר לאחותו, שהיא מהנדסת ומכירה כל תקלה לפי הצליל."
    ),
    "Arabic": (
        "بنى المضخة في الميناء القديم قبل سنوات عديدة عامل من الإسكندرية. وهي ترفع نحو تسعة لترات في الثانية، وهذا "
        "يكفي حتى لأكبر السفن. في كل يوم اثنين يفتح الحارس الصمام ويصغي دقيقة ثم يكتب ما سمعه. فإذا كان المكان هادئا "
        "عاد إلى بيته عبر الجسر، وإلا اتصل بأخته المهندسة التي تعرف كل عطل من صوته."
    ),
    "Thai": (
        "เครื่องสูบน้ำที่ท่าเรือเก่าสร้างขึ้นเมื่อหลายปีก่อนโดยคนงานจากเชียงใหม่ มันสูบน้ำได้ประมาณเก้าลิตรต่อวินาที "
        "ซึ่งเพียงพอแม้สำหรับเรือที่ใหญ่ที่สุด ทุกวันจันทร์คนเฝ้าจะเปิดวาล์ว ฟังเสียงสักครู่ แล้วจดสิ่งที่ได้ยิน "
        "ถ้าเงียบเขาก็เดินข้ามสะพานกลับบ้าน ถ้าไม่เงียบเขาจะโทรหาพี่สาวซึ่งเป็นวิศวกร"
    ),
    "Japanese": (
        "古い港のポンプは、何年も前に大阪の職人が作ったものです。一秒におよそ九リットルの水をくみ上げ、大きな船にも十分な量です。毎週月曜日になると、番人が弁を開けてしば"
        "らく音を聞き、聞こえたことを日誌に書きます。静かなら橋を渡って家に帰り、そうでなければ技師の姉に電話をかけます。姉は音だけでどんな故障でも分かるのです。"
    ),
    "Chinese": (
        "老港口的水泵是许多年前由一位上海工人建造的。它每秒大约能抽九升水，这对最大的船也足够了。每个星期一，看守人打开阀门，听一会儿，然后把听到的写下来。如果很安静，他"
        "就过桥回家；如果不安静，他就给姐姐打电话。她是工程师，只听声音就知道哪里坏了。"
    ),
    "Chinese (traditional)": (
        "老港口的水泵是許多年前由一位臺北工人建造的。它每秒大約能抽九公升水，這對最大的船也足夠了。每個星期一，看守人打開閥門，聽一會兒，然後把聽到的寫下來。如果很安靜，"
        "他就過橋回家；如果不安靜，他就給姐姐打電話。她是工程師，只聽聲音就知道哪裡壞了。"
    ),
    "Korean": (
        "오래된 항구의 펌프는 여러 해 전에 부산에서 온 노동자가 만들었다. 일 초에 약 구 리터의 물을 퍼 올리는데, 가장 큰 배에도 충분하다"
        ". 월요일마다 관리인은 밸브를 열고 잠시 소리를 들은 다음 "
        "들은 것을 적는다. 조용하면 다리를 건너 집으로 가고, 그렇지 않으면 기술자인 누나에게 전화를 건다."
    ),
}
