"""What must work with the core's dependencies alone, without pytest: see `make package`.

In an empty environment: python -I -m unittest discover --start-directory tests/minimal
"""

import importlib.metadata
import importlib.resources
import importlib.util
import subprocess
import sysconfig
import unittest
from pathlib import Path

import numpy as np

import membrane_xai
from membrane_xai import alignment, ec_score, extract_membrane_mask, map_score
from membrane_xai.datasets import synthetic_her2
from membrane_xai.errors import InvalidInputError


def command(name, *arguments):
    """Run an installed command."""
    script = Path(sysconfig.get_path("scripts")) / name
    return subprocess.run([script, *arguments], capture_output=True, text=True, check=False)


class Core(unittest.TestCase):
    def test_map_counted_by_hand(self):
        """Columns 1 and 2 carry 1 and 3 of the activation; column 2 alone is membrane."""
        cam = np.array([[0.0, 1.0, 3.0, 0.0]] * 4)
        membrane = np.zeros((4, 4), bool)
        membrane[:, 2] = True
        assert map_score(cam, membrane) == 3 / 4
        assert alignment(cam, membrane).chance == 1 / 4

    def test_coarse_cam_counted_by_hand(self):
        """Upsampled from 2 to 4, a row (3, 1) is (3, 2.5, 1.5, 1): see the page on MAP."""
        membrane = np.zeros((4, 4), bool)
        membrane[:, 1] = True
        assert map_score(np.array([[3.0, 1.0], [3.0, 1.0]]), membrane) == 2.5 / 8

    def test_no_membrane_has_no_score(self):
        found = alignment(np.ones((2, 2)), np.zeros((4, 4), bool))
        assert np.isnan(found.map)
        assert found.status == "empty_mask"

    def test_ec_of_equal_and_of_opposite_maps(self):
        cam = np.arange(9.0).reshape(3, 3)
        assert abs(ec_score(np.stack([cam, 2 * cam])) - 1) < 1e-12
        assert abs(ec_score(np.stack([cam, -cam])) + 1) < 1e-12

    def test_mask_of_a_synthetic_field(self):
        field = synthetic_her2("3+", size=256, mpp=0.5, seed=0)
        found = extract_membrane_mask(field.rgb, mpp=0.5).mask
        assert found.shape == (256, 256)
        overlap = (found & field.membrane).sum() / (found | field.membrane).sum()
        assert overlap > 0.7

    def test_wrong_input_is_named(self):
        with self.assertRaisesRegex(InvalidInputError, "mask"):
            map_score(np.ones((2, 2)), np.full((4, 4), 2.0))


class Installation(unittest.TestCase):
    def test_every_public_name(self):
        for name in membrane_xai.__all__:
            assert getattr(membrane_xai, name) is not None, name

    def test_versions_agree(self):
        assert importlib.metadata.version("membrane-xai") == membrane_xai.__version__

    def test_data_of_the_packages(self):
        for package in ("membrane_xai", "her2_models"):
            assert importlib.resources.files(package).joinpath("py.typed").is_file()
        configurations = importlib.resources.files("her2_models.configs")
        assert configurations.joinpath("demo.yaml").is_file()

    def test_command_names_its_version(self):
        done = command("membrane-xai", "--version")
        assert done.returncode == 0, done.stderr
        assert membrane_xai.__version__ in done.stdout

    def test_command_shows_its_help(self):
        done = command("membrane-xai", "--help")
        assert done.returncode == 0, done.stderr
        assert "usage: membrane-xai" in done.stdout

    def test_her2_says_which_extra_it_needs(self):
        done = command("her2", "--help")
        if importlib.util.find_spec("yaml"):
            assert "usage: her2" in done.stdout
        else:
            assert done.returncode == 2
            assert 'pip install "membrane-xai[her2]"' in done.stderr
            assert "Traceback" not in done.stderr


if __name__ == "__main__":
    unittest.main()
