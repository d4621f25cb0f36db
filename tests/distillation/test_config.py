import pytest

from course_lib.distillation.config import DistillationConfig
from course_lib.errors import SettingError


@pytest.mark.parametrize("setting", [{"views": 0}, {"views_seed": -1}])
def test_settings_outside_their_range_are_refused(setting: dict[str, int]) -> None:
    views, seed = setting.get("views", 8), setting.get("views_seed", 0)
    with pytest.raises(SettingError) as caught:
        DistillationConfig(**setting)
    assert str(caught.value) == (
        f"views is {views} and views_seed {seed}; expected at least 1 view and a seed of at least 0."
    )
