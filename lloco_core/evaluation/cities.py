"""Cities for needles: those that encoders and adapters may be trained on, and those that they are tested on, have none in common."""

from __future__ import annotations

FOR_TESTS = (
    *("Nairobi", "Paris", "Tokyo", "Cairo", "London", "Berlin", "Rome", "Madrid", "Vienna", "Dublin", "Boston", "Chicago"),
    *("Lisbon", "Oslo", "Lima", "Delhi", "Sydney", "Havana", "Prague", "Geneva", "Toronto", "Seattle", "Warsaw", "Athens"),
    *("Nagasaki", "Marrakesh", "Reykjavik", "Valparaiso", "Johannesburg", "Tashkent", "Kathmandu", "Montevideo"),
)
FOR_FINETUNING = (
    *("Hamburg", "Lyon", "Kyoto", "Milan", "Naples", "Moscow", "Denver", "Dallas", "Quito", "Bogota", "Bergen", "Turin"),
    *("Manila", "Hanoi", "Seville", "Leipzig", "Glasgow", "Bristol", "Tunis", "Accra", "Dakar", "Mumbai", "Perth", "Cork"),
    *("Samarkand", "Antananarivo", "Thessaloniki", "Gothenburg", "Asuncion", "Vladivostok", "Zanzibar", "Philadelphia"),
)
