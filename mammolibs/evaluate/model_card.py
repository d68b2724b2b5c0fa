"""The model card: what the weights are, what they were made of, for what they may be used, and how well they did.

Its headings are those of Mitchell et al., "Model cards for model reporting" (FAT* 2019). It is made from report.json alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mammolibs.evaluate.document import Item, Section, Table, Text
from mammolibs.evaluate.flow import flatten
from mammolibs.evaluate.licences import licence_terms, weights_terms
from mammolibs.evaluate.result import DISCLAIMER, block_of, figure_names
from mammolibs.evaluate.sections import HEADLINE, figure_table, name_of

INTENDED = (
    "Research on finding lesions in mammograms and on telling malignant from other ones: methods, data, evaluation.",
    "Users: researchers who can judge the figures below and the images behind them.",
)
NOT_INTENDED = (
    "Decisions about anybody's care: screening, triage, diagnosis, reassurance. It is no medical device and was cleared by nobody.",
    "Images of other kinds, machines or populations than those below, without an evaluation on them first.",
)
TRUTHS = {
    "biopsy": "proven by tissue or follow-up",
    "birads": "a reader's BI-RADS category, which is an opinion",
    "read": "what readers wrote, without proof by tissue",
    "synthetic": "known by construction: made images, not patients",
    "assumed": "assumed by this library from how the data were collected",
    "unknown": "the source does not say where its labels come from",
}


def model_card(result: Mapping[str, Any]) -> dict[str, Any]:
    """What stands in model_card.json, JSON types. result: report.json."""
    data, provenance = result["data"], result["provenance"]
    runs = {name: made for name, made in provenance.items() if isinstance(made, Mapping) and "networks" in made} or {"": provenance}
    networks = {
        f"{run}: {stage}" if run else stage: facts for run, made in runs.items() for stage, facts in made.get("networks", {}).items()
    }
    licences = sorted({name for facts in networks.values() for name in facts["data_licences"]} | set(data.get("licences", ())))
    return {
        "intended_use": list(INTENDED),
        "not_intended": list(NOT_INTENDED),
        "disclaimer": DISCLAIMER,
        "networks": networks,
        "weights_from_elsewhere": sorted({name for made in runs.values() for name in made.get("weights_from_elsewhere", {}).values()}),
        "training_data": {
            "sources": data.get("sources", []),
            "splits": data.get("splits", {}),
            "licences": {licence: licence_terms(licence) for licence in licences},
            "weights_are_bound_by": weights_terms(licences),
            "truth": {truth: TRUTHS.get(truth, TRUTHS["unknown"]) for truth in data.get("truth", ())},
        },
        "population": data.get("population", {}),
        "split": {name: data.get(name) for name in ("split_hash", "audit", "looks_at_this_test_set")}
        | {"not_held_out": result["not_held_out"]},
        "figures": block_of(result, HEADLINE),
        "thresholds": result["thresholds"],
        "at_the_chosen_thresholds": result.get("at_the_chosen_thresholds", {}),
        "alarms": result["alarms"],
        "limits": result["conclusions"],
        "how_to_make_it_again": {"command": result["command"], "runtime": result["runtime"]}
        | {name: {run: made.get(name) for run, made in runs.items()} for name in ("seed", "preset", "contract_hash", "versions")},
    }


def model_card_section(card: Mapping[str, Any]) -> Section:
    """The card for a reader, without what other sections of the report tell at length."""
    training = card["training_data"]
    bound = training["weights_are_bound_by"]
    items: list[Item] = [Text(f"{DISCLAIMER} {' '.join(card['intended_use'])}"), Text(f"Not for: {' '.join(card['not_intended'])}")]
    items += [_networks(card["networks"])] if card["networks"] else [Text("What the networks are is not on record.", "note")]
    if training["licences"]:
        rows = tuple((licence, _listed(terms["forbids"]), _listed(terms["asks"])) for licence, terms in training["licences"].items())
        items.append(Table(("licence of training data", "forbids", "asks for"), rows))
    for kind, words in (("forbid", bound["forbids"]), ("ask for", bound["asks"])):
        if words:
            items.append(Text(f"Taken together, the licences {kind}: {_listed(words)}. The licences' own texts decide."))
    if training["truth"]:
        items.append(Table(("truth", "what it is"), tuple(training["truth"].items())))
    items.append(Table(("split", ""), tuple(flatten({name: value for name, value in card["split"].items() if name != "not_held_out"}))))
    items.append(figure_table(card["figures"]))
    if figure_names(card["at_the_chosen_thresholds"]):
        items += [Text("At the cuts that were chosen on validation patients:"), figure_table(card["at_the_chosen_thresholds"])]
    limits = (
        "Population, limits, thresholds and the way to make it again stand in their own sections, and with all of this in model_card.json."
    )
    return Section("Model card", (*items, Text(limits, "note")))


def _networks(networks: Mapping[str, Mapping[str, Any]]) -> Table:
    rows = []
    for name, facts in networks.items():
        arguments = ", ".join(f"{key} {value}" for key, value in facts["architecture"].items() if key != "name")
        trained = f"{facts['steps']:,} steps, iteration {facts['iteration']}, chosen by {name_of(facts['chosen_by']).lower()}"
        rows.append(
            (name, f"{facts['architecture']['name']}: {arguments}", f"{facts['parameters']:,}", trained, facts["weights_sha256"][:16])
        )
    return Table(("network", "architecture", "parameters", "trained", "sha256 of weights"), tuple(rows))


def _listed(words: list[str]) -> str:
    return "; ".join(words) or "nothing"
