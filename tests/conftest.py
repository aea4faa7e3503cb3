from __future__ import annotations

import os

# What the program says as a step of GitHub Actions is tested with variables of the tests' own: where these tests run as
# such a step, they stay out of its annotations and summary.
for name in ("GITHUB_ACTIONS", "GITHUB_STEP_SUMMARY"):
    os.environ.pop(name, None)
