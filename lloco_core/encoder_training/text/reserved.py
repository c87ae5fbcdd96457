"""What evaluations ask for and training must therefore never tell: the needle and its cities.

The zero-shot needle is "The magic city is {city}": no inserted fact and no answer has its wording or one of these
cities, and no question its wording. The text itself is left as it is.
"""

from __future__ import annotations

import re

RESERVED_PHRASES = ("magic city",)

RESERVED_CITIES = tuple(
    """
    Abuja|Accra|Addis Ababa|Algiers|Almaty|Amman|Amsterdam|Ankara|Antwerp|Asuncion|Athens|Auckland|Austin|Baghdad|Baku|Baltimore|Bamako|
    Bangkok|Barcelona|Basel|Beijing|Beirut|Belfast|Belgrade|Bergen|Berlin|Bern|Bilbao|Birmingham|Bogota|Bologna|Bombay|Bordeaux|Boston|
    Brasilia|Bratislava|Bremen|Brisbane|Bristol|Brussels|Bucharest|Budapest|Buenos Aires|Cairo|Calcutta|Calgary|Canberra|Cape Town|
    Caracas|Cardiff|Casablanca|Chennai|Chicago|Cologne|Colombo|Conakry|Copenhagen|Cordoba|Dakar|Dallas|Damascus|Delhi|Denver|Detroit|
    Dhaka|Djibouti|Doha|Dresden|Dubai|Dublin|Durban|Edinburgh|Florence|Frankfurt|Freetown|Gaborone|Geneva|Genoa|Georgetown|Glasgow|
    Gothenburg|Granada|Guatemala City|Hamburg|Hanoi|Harare|Havana|Helsinki|Hiroshima|Hong Kong|Honolulu|Houston|Islamabad|Istanbul|
    Jakarta|Jerusalem|Johannesburg|Kabul|Kampala|Karachi|Kathmandu|Khartoum|Kiev|Kigali|Kingston|Kinshasa|Krakow|Kuala Lumpur|Kuwait City|
    Kyoto|Kyiv|La Paz|Lagos|Lahore|Leipzig|Libreville|Lilongwe|Lima|Lisbon|Liverpool|Ljubljana|Lome|London|Los Angeles|Luanda|Lusaka|Lyon|
    Madrid|Malaga|Managua|Manchester|Manila|Maputo|Marrakesh|Marseille|Melbourne|Memphis|Mexico City|Miami|Milan|Minsk|Mogadishu|Mombasa|
    Monaco|Monrovia|Montevideo|Montreal|Moscow|Mumbai|Munich|Muscat|Nagasaki|Nairobi|Nantes|Naples|Nassau|New Orleans|New York|Nicosia|
    Osaka|Oslo|Ottawa|Palermo|Panama City|Paris|Perth|Philadelphia|Phoenix|Port Louis|Porto|Prague|Pretoria|Quebec|Quito|Rabat|Reykjavik|
    Riga|Rio de Janeiro|Riyadh|Rome|Rotterdam|Salzburg|San Francisco|San Jose|Santiago|Sao Paulo|Sapporo|Sarajevo|Seattle|Seoul|Seville|
    Shanghai|Singapore|Skopje|Sofia|Stockholm|Strasbourg|Stuttgart|Suva|Sydney|Taipei|Tallinn|Tashkent|Tbilisi|Tehran|Tirana|Tokyo|Toronto|
    Toulouse|Tripoli|Tunis|Turin|Ulaanbaatar|Valencia|Valletta|Vancouver|Venice|Vienna|Vientiane|Vilnius|Warsaw|Washington|Wellington|
    Windhoek|Yangon|Yaounde|Yerevan|Zagreb|Zanzibar|Zurich
    """.replace("\n", "")
    .replace("    ", "")
    .split("|")
)

_RESERVED = re.compile(rf"\b(?:{'|'.join(map(re.escape, (*RESERVED_CITIES, *RESERVED_PHRASES)))})\b", re.IGNORECASE)


def is_reserved(text: str) -> bool:
    """Whether a text names a reserved city or uses a reserved phrase."""
    return _RESERVED.search(text) is not None
