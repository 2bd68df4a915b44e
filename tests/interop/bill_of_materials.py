"""Whether a file is a bill of materials by CycloneDX's own schema of 1.5, and its licences are SPDX expressions."""

import json
import sys

from cyclonedx.schema import SchemaVersion
from cyclonedx.spdx import is_expression, is_supported_id
from cyclonedx.validation.json import JsonStrictValidator

with open(sys.argv[1], encoding="utf-8") as file:
    text = file.read()

error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(text)
if error is not None:
    sys.exit(f"not CycloneDX 1.5: {error}"[:2000])

bill = json.loads(text)
components = [bill["metadata"]["component"], *bill["components"]]
licences = [one["expression"] for component in components for one in component.get("licenses", [])]
for licence in licences:
    if not (is_supported_id(licence) or is_expression(licence)):
        sys.exit(f"no SPDX expression: {licence}")
refs = {component["bom-ref"] for component in components}
for dependency in bill["dependencies"]:
    for ref in [dependency["ref"], *dependency["dependsOn"]]:
        if ref not in refs:
            sys.exit(f"no component: {ref}")
print(f"{len(components)} components, {len(licences)} licences")
