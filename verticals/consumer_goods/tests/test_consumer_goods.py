"""The edition as its users meet it: a site fitted, tried out and worked with."""

from __future__ import annotations

import contextlib

import pytest

from rapport import Config, Customer, Pipeline, Site, Task, system
from rapport.app import create_app
from rapport.builtin.edition import apply_edition, find_edition, load_samples, remove_samples
from rapport.lifecycle import make_site
from rapport.testing.edition import broken

ADA = system("Ada").through("cli")


@pytest.fixture
def config(tmp_path, database_url):
    config = Config(home=tmp_path, database_url=database_url, secret_key="k" * 32, testing=True)
    make_site(config)
    apply_edition(config, find_edition("consumer_goods"), actor=ADA)
    load_samples(config, find_edition("consumer_goods"), actor=ADA)
    return config


def test_it_keeps_what_every_edition_promises(database_url, tmp_path):
    assert broken("consumer_goods", database_url, tmp_path) == []


def test_a_maker_finds_retailers_households_and_warranty_cards(config):
    with contextlib.closing(Site.open(config)) as site, site.read(ADA) as reader:
        assert site.meta(Customer).fields["x_store_type"].in_list
        assert dict(site.terms["fr"])["Registered products"] == "Cartes de garantie"
        pipelines = {each.name for each in reader.all(Pipeline, Pipeline.entity == "sales.opportunity")}
        assert pipelines == {"Households", "Retailers"}
        for name, many in (("Retailers", 6), ("Households with a pool", 3)):
            (view,) = reader.all(site.entities["view"], site.entities["view"].name == name)
            assert len(reader.page(Customer, filter=view.filter).items) == many
        (ending,) = reader.all(site.entities["view"], site.entities["view"].name == "Warranty ends soon")
        found = reader.page(site.entities["service.registration"], filter=ending.filter).items
        assert [row.serial for row in found] == ["RR2-004711"]


def test_what_somebody_did_with_the_sample_data_stays_and_is_told(config):
    with contextlib.closing(Site.open(config)) as site, site.write(ADA.through("web")) as unit:
        (azur,) = unit.reader.all(Customer, Customer.name == "Piscines d’Azur")
        unit.create(Task, {"title": "Ring them back", "customer_id": str(azur.id)})
    _undone, kept = remove_samples(config, "consumer_goods", actor=ADA)
    assert any("Piscines d’Azur" in each for each in kept)
    with contextlib.closing(Site.open(config)) as site, site.read(ADA) as reader:
        assert [task.title for task in reader.all(Task)] == ["Ring them back"]
        assert [customer.name for customer in reader.all(Customer)] == ["Piscines d’Azur"]


def test_the_portal_has_the_look_of_the_maker(config):
    app = create_app(config)
    visitor = app.test_client()
    page = visitor.get("/portal/sign-in", headers={"Accept-Language": "zh"}).get_data(as_text=True)
    assert "欢迎" in page
    picture = visitor.get("/portal/logo/consumer_goods/logo.svg", buffered=True)
    assert picture.mimetype == "image/svg+xml"
    assert "--accent: #00728f" in visitor.get("/portal/look.css").get_data(as_text=True)
    app.extensions["rapport"].close()
