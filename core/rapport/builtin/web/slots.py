"""The places of the web's own pages that plugins may fill. docs/slots.md tells of each; a test keeps the two together."""  # noqa: E501

from __future__ import annotations

from rapport.contributions import Slot

RECORD = {"record": "the record whose page it is"}
LIST = {"filter": "the list's filter, as text", "search": "the words searched for"}

SLOTS = (
    Slot("navigation", "An entry of the main menu", "/", filled_by="NavItem", hook="register_navigation"),
    Slot("home", "A card on the start page", "/"),
    Slot("dashboard", "A card on the dashboard", "/dashboard"),
    Slot("{entity}.list", "Above a list", "/{entity}", LIST),
    Slot("{entity}.column", "A column of a list", "/{entity}", filled_by="Column", hook="register_columns"),
    Slot("{entity}.filter", "A ready filter above a list", "/{entity}", filled_by="ListFilter",
         hook="register_list_filters"),
    Slot("{entity}.bulk", "A button for the chosen rows of a list", "/{entity}", filled_by="Action",
         hook="register_actions"),
    Slot("{entity}.board", "Above a board", "/{entity}/board", LIST),
    Slot("{entity}.action", "A button in the head of a record's page", "/{entity}/{id}", filled_by="Action",
         hook="register_actions"),
    Slot("{entity}.tab", "A tab of a record's page", "/{entity}/{id}?tab={template}", RECORD),
    Slot("{entity}.main", "Below a record's fields", "/{entity}/{id}", RECORD),
    Slot("{entity}.side", "Beside a record", "/{entity}/{id}", RECORD),
    Slot("{entity}.form", "A section of the form that makes or changes a record", "/{entity}/{id}/edit",
         {"record": "the record that is changed; None for a new one", "values": "what the fields hold, by name"}),
    Slot("customer.figure", "A figure at the head of a customer's page", "/customer/{id}", filled_by="Summary",
         hook="summarize_customers"),
    Slot("customer.timeline", "A moment on a customer's timeline", "/customer/{id}", filled_by="TimelineItem",
         hook="customer_timeline"),
    Slot("search", "A result of the search box", "/search?q={query}", filled_by="SearchResult", hook="search_records"),
    Slot("report", "A table of figures with a page and a file", "/reports/{name}", filled_by="Report",
         hook="register_reports"),
    Slot("settings", "A card on the page of the site's settings", "/admin/settings"),
    Slot("setting", "A field on the page of the site's settings", "/admin/settings", filled_by="Setting",
         hook="register_settings"),
)  # fmt: skip
