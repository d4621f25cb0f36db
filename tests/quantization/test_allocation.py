"""Only what is not in test_mixed_precision.py: the plans need neither torch nor, until asked, scipy."""

import subprocess
import sys


def test_allocation_starts_without_torch_and_scipy():
    code = (
        "import sys\n"
        "from course_lib.quantization.allocation import allocate\n"
        "early = {'torch', 'scipy.optimize'} & sys.modules.keys()\n"
        "found = allocate({'a': {2: 2.0, 4: 4.0}}, {'a': {2: 1.0, 4: 0.5}}, 3)\n"
        "print(early, found.bits, 'torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "set() {'a': 2} False"
