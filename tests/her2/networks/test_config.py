"""Configurations: what is read is what was written, and mistakes are named by their place."""

import dataclasses
import json
import re
from importlib.resources import files

import pytest

pytest.importorskip("yaml")

import yaml

from her2_models.config import Config, bundled_configs, json_schema, load_config, to_yaml
from membrane_xai.errors import InvalidInputError


def test_those_of_the_source_study_are_there():
    assert set(bundled_configs()) == {
        "demo", "honest_40x", "multi_magnification",
        "paper_40x_patch", "paper_40x_wsi", "paper_bci",
    }  # fmt: skip


@pytest.mark.parametrize("name", bundled_configs())
def test_what_is_written_out_is_read_as_the_same(name, tmp_path):
    config = load_config(name)
    assert config.name == name
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config))
    assert load_config(path) == config


# What the authors' notebook did, setting by setting; torchvision's names behind it
NOTEBOOK = {
    "published_protocol": True,  # the file saved after the last epoch is tested
    "data.split": "official",  # ImageFolder(train_dir), ImageFolder(test_dir)
    "model.backbone": "resnet50.tv_in1k",  # models.resnet50(pretrained=True), IMAGENET1K_V1
    "model.weights": "timm",
    "model.dropout": 0.3,  # Sequential(Dropout(0.3), Linear(2048, 4))
    "model.input_size": 224,  # Resize((224, 224))
    "unfreeze.plan": "hybrid",  # layer3, layer4, fc
    "unfreeze.backbone_learning_rate": 1.0,  # one parameter group
    "unfreeze.decay": 1.0,
    "unfreeze.freeze_batch_norm": False,  # model.train()
    "augment.flips": True,  # RandomHorizontalFlip()
    "augment.vertical_flips": False,
    "augment.quarter_turns": False,
    "augment.rotation": 20.0,  # RandomRotation(20)
    "augment.color_jitter": 0.0,  # ColorJitter()
    "augment.stain_jitter": 0.0,
    "augment.magnifications": (),
    "train.epochs": 100,
    "train.batch_size": 32,
    "train.optimizer": "adam",  # Adam(lr=0.001, weight_decay=1e-4)
    "train.learning_rate": 1e-3,
    "train.weight_decay": 1e-4,
    "train.min_learning_rate": 1e-6,  # CosineAnnealingLR(eta_min=1e-6)
    "train.loss": "cross_entropy",  # CrossEntropyLoss()
    "train.label_smoothing": 0.0,
    "train.balance": "none",  # shuffle=True
    "train.patience": 0,  # it counts no epochs without improvement
    "train.precision": "32-true",
}
FREE = {  # of the user, of other plans, or of no effect on the result
    "name", "data.path", "data.validation_share", "data.folds", "data.fold", "data.allow_ungrouped",
    "data.mpp", "data.magnification", "data.label_level", "data.group_pattern", "unfreeze.groups",
    "unfreeze.schedule", "train.accelerator", "train.devices", "train.workers", "train.seed",
    "train.tensorboard",
}  # fmt: skip
PAPERS = ["paper_40x_patch", "paper_40x_wsi", "paper_bci"]


@pytest.mark.parametrize("name", PAPERS)
@pytest.mark.parametrize(("key", "value"), NOTEBOOK.items())
def test_the_published_protocol_is_that_of_the_notebook(name, key, value):
    found = load_config(name)
    for part in key.split("."):
        found = getattr(found, part)
    assert (type(found), found) == (type(value), value)


def test_every_setting_is_the_notebooks_or_free():
    places = {".".join(place) for place in leaves(Config().to_dict())}
    synthetic = {place for place in places if place.startswith("data.synthetic.")}
    assert places - synthetic == NOTEBOOK.keys() | FREE


def test_the_weights_are_those_of_torchvisions_first_version():
    """timm's own resnet50 is another training of the same network."""
    timm = pytest.importorskip("timm")
    models = pytest.importorskip("torchvision.models")
    first = models.ResNet50_Weights.IMAGENET1K_V1
    assert timm.get_pretrained_cfg(NOTEBOOK["model.backbone"]).url == first.url
    assert timm.get_pretrained_cfg("resnet50").url != first.url


def test_bci_is_what_its_paper_says():
    """Liu et al., BCI, CVPR Workshops 2022, section 3.1."""
    data = load_config("paper_bci").data
    assert (data.mpp, data.magnification, data.label_level) == (0.46, 20, "slide")
    assert 10 / data.mpp == pytest.approx(data.magnification, rel=0.1)


def test_only_the_published_protocol_takes_the_official_folders():
    splits = {name: load_config(name).data.split for name in bundled_configs() if name != "demo"}
    assert {name for name, split in splits.items() if split == "official"} == set(PAPERS)


def test_no_other_configuration_is_the_published_protocol():
    honest = [n for n in bundled_configs() if not n.startswith("paper")]
    assert not any(load_config(name).published_protocol for name in honest)


def test_what_a_file_leaves_out_has_its_default(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("train: {epochs: 3}")
    config = load_config(path)
    assert config.train == dataclasses.replace(Config().train, epochs=3)
    assert config.data == Config().data
    path.write_text("")
    assert load_config(path) == Config()


def test_overrides_go_before_the_file_and_the_last_one_wins():
    config = load_config("demo", ["train.epochs=3", "train.epochs=4", "data.path=x", "name=b"])
    assert (config.train.epochs, config.data.path, config.name) == (4, "x", "b")
    assert load_config("demo", ["train.learning_rate=1e-4"]).train.learning_rate == 1e-4
    assert load_config("demo", ["augment.magnifications=[10, 20]"]).augment.magnifications == (
        10,
        20,
    )
    assert load_config("demo", ["data.path=null"]).data.path is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2024", "2024"),
        ("2024-11-01", "2024-11-01"),
        ("no", "no"),
        ("[A-Z]+_(S[0-9]+) #1: a", "[A-Z]+_(S[0-9]+) #1: a"),
        (" a ", "a"),
        ("'a #1'", "a #1"),
        ("~", None),
        ("", None),
    ],
)
def test_texts_are_taken_as_they_stand(text, value):
    for key in ("path", "group_pattern"):
        assert getattr(load_config("demo", [f"data.{key}={text}"]).data, key) == value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.epoch=3", "train.epoch is unknown; train takes epochs, batch_size"),
        ("trian.epochs=3", "trian is unknown; a config takes name, published_protocol"),
        ("train=3", "train is 3; it takes keys of its own"),
        ("name.x=3", "name has no keys of its own"),
        ("epochs", "override is 'epochs'; it takes key=value"),
        ("train.epochs=3.5", "train.epochs is 3.5; it takes int"),
        ("train.epochs=true", "train.epochs is True; it takes int"),
        ("train.epochs=0", "train.epochs is 0; it takes a positive integer"),
        ("train.learning_rate=fast", "train.learning_rate is 'fast'; it takes float"),
        ("train.learning_rate=-1", "train.learning_rate is -1.0; it takes a positive number"),
        ("train.loss=mse", "train.loss is 'mse'; it takes one of cross_entropy, ordinal"),
        ("train.tensorboard=1", "train.tensorboard is 1; it takes bool"),
        ("model.dropout=1", "model.dropout is 1.0; it takes a number in [0, 1)"),
        ("unfreeze.schedule={1: 2}", "unfreeze.schedule is {1: 2}; it takes epochs from 0"),
        ("unfreeze.schedule={a: 2}", "unfreeze.schedule is {'a': 2}"),
        ("augment.magnifications=[1]", "augment.magnifications is (1.0,); it takes objectives"),
        ("augment.magnifications=[x]", "augment.magnifications is ['x']"),
        (
            "data.synthetic.slides={train: 1}",
            "it takes positive numbers of slides for train, ",
        ),
        ("train.epochs=[", "its value is not YAML"),
        ("name=", "name is None; it takes str"),
    ],
)
def test_mistakes_are_named_by_their_place(override, message):
    with pytest.raises(InvalidInputError, match=re.escape(message)):
        load_config("demo", [override])


def test_files_that_are_no_configuration_are_named(tmp_path):
    path = tmp_path / "a.yaml"
    for text, message in [("a: [", "not YAML"), ("- 1", "holds list; it takes a mapping")]:
        path.write_text(text)
        with pytest.raises(InvalidInputError, match=message):
            load_config(path)
    with pytest.raises(InvalidInputError, match="it takes a YAML file or one of demo"):
        load_config("dmeo")


def test_yaml_cannot_make_objects(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("name: !!python/object/apply:os.getcwd []")
    with pytest.raises(InvalidInputError, match="not YAML"):
        load_config(path)


@pytest.fixture(scope="module")
def schema():
    """The validator of an independent library."""
    validators = pytest.importorskip("jsonschema")
    found = json.loads(json.dumps(json_schema()))
    validators.Draft202012Validator.check_schema(found)
    return validators.Draft202012Validator(found)


def as_json(values):
    """Keys become text."""
    return json.loads(json.dumps(values))


@pytest.mark.parametrize("name", bundled_configs())
def test_the_schema_takes_what_comes_with_the_package(schema, name):
    text = files("her2_models.configs").joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    schema.validate(as_json(yaml.safe_load(text)))
    schema.validate(as_json(load_config(name).to_dict()))  # written out in full


def leaves(values, place=()):
    for name, value in values.items():
        if isinstance(value, dict) and name not in ("slides", "schedule"):
            yield from leaves(value, (*place, name))
        else:
            yield (*place, name)


VALUES = [
    -1, 0, 1, 2, 5, 31, 32, 127, 128, 180, 181, 1024, 1025, -0.5, 1e-9, 0.009, 0.19, 0.5, 0.99,
    1.01, 1e9 + 0.5, True, None, "x", "official", "blocks", "hybrid", "adam", "ordinal", "sampling",
    "32-true", "gpu", [], [2.5, 80], [2.4], [80.5], ["x"], {}, {0: 0}, {0: 0, 3: 2}, {1: 0},
    {0: -1}, {-1: 0, 0: 1}, {"train": 1, "val": 1, "test": 1}, {"train": 1, "val": 0, "test": 1},
    {"train": 1, "val": 1}, {"train": 1, "val": 1, "test": 1, "more": 1},
]  # fmt: skip


@pytest.mark.parametrize("place", list(leaves(Config().to_dict())), ids=".".join)
def test_the_schema_says_what_loading_says(schema, place, tmp_path):
    """Key by key: what one refuses the other refuses."""
    path, verdicts = tmp_path / "a.yaml", set()
    for value in VALUES:
        values = {place[-1]: value}
        for name in reversed(place[:-1]):
            values = {name: values}
        path.write_text(yaml.safe_dump(values))
        taken = True
        try:
            load_config(path)
        except InvalidInputError as error:
            taken = ".".join(place) not in str(error)
        assert schema.is_valid(as_json(values)) == taken, value
        verdicts.add(taken)
    assert verdicts == {True, False}


@pytest.mark.parametrize(
    "values",
    [[3], "x", {"train": 3}, {"trian": {}}, {"train": {"epoch": 3}}, {"data": {"synthetic": []}}],
)
def test_the_schema_refuses_other_shapes(schema, values, tmp_path):
    assert not schema.is_valid(values)
    path = tmp_path / "a.yaml"
    path.write_text(yaml.safe_dump(values))
    with pytest.raises(InvalidInputError):
        load_config(path)


def test_the_schema_knows_every_default(schema):
    def defaults(part):
        return {
            name: defaults(inner) if "properties" in inner and "default" not in inner
            else inner["default"]
            for name, inner in part["properties"].items()
        }  # fmt: skip

    assert defaults(schema.schema) == as_json(Config().to_dict())
