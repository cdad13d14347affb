import re
from pathlib import Path

HERE = Path(__file__).parent


def test_the_readme_documents_each_variable_that_makes_a_test_longer():
    used = {
        name for path in HERE.glob("*.py") for name in re.findall(r"environ\.get\(\"(\w+)", path.read_text())
    }

    assert len(used) == 4
    for name in used:
        assert f"`{name}`" in (HERE / "README.md").read_text()
