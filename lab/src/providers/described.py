# Whether requests are as a provider's own OpenAPI description has them: paths, query, bodies. Reads a JSON list of
# [method, path, body] on stdin, writes a list of complaints. Nothing is imported that moto does not bring.
import json
import re
import sys
from urllib.parse import parse_qsl, unquote, urlsplit

import yaml
from openapi_schema_validator import OAS30Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT4

BASE = "urn:description"


def pointer(*words):
    return "#/" + "/".join(word.replace("~", "~0").replace("/", "~1") for word in words)


def resolve(spec, node):
    while "$ref" in node:
        found = spec
        for word in node["$ref"].removeprefix("#/").split("/"):
            word = unquote(word).replace("~1", "/").replace("~0", "~")
            found = found[int(word) if isinstance(found, list) else word]
        node = found
    return node


def without_discriminators(node):
    """What chooses among descriptions names files that are not there; each of them is tried instead."""
    if isinstance(node, list):
        return [without_discriminators(one) for one in node]
    if isinstance(node, dict):
        return {key: without_discriminators(one) for key, one in node.items() if key != "discriminator"}
    return node


def complaints_of(registry, reference, value):
    validator = OAS30Validator({"$ref": BASE + reference}, registry=registry)
    for error in validator.iter_errors(value):
        yield "at " + "/".join(map(str, error.absolute_path)) + ": " + error.message[:300]


def typed(schema, text):
    if schema.get("type") in ("integer", "number", "boolean"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def parameters(spec, item, operation, values):
    known = {}
    for parameter in item.get("parameters", []) + operation.get("parameters", []):
        parameter = resolve(spec, parameter)
        known[(parameter["in"], parameter["name"])] = parameter
    for (place, name), parameter in known.items():
        schema = resolve(spec, parameter.get("schema", {}))
        if (place, name) in values:
            value = typed(schema, values[(place, name)])
            for error in OAS30Validator({**schema, "components": spec.get("components", {})}).iter_errors(value):
                yield f"{place} {name}: {error.message[:200]}"
        elif parameter.get("required") and place in ("path", "query"):
            yield f"{place} {name} is missing"
    for place, name in values:
        # A filter of a form such as name.exact is a property of one parameter.
        if place == "query" and (place, name) not in known and (place, name.split(".")[0]) not in known:
            yield f"query {name} is not described"


def judge(spec, registry, method, target, body):
    url = urlsplit(target)
    # A word that is written out goes before one that stands for any.
    for path, item in sorted(spec["paths"].items(), key=lambda one: one[0].count("{")):
        names = re.findall(r"{([^}]+)}", path)
        found = re.fullmatch(re.sub(r"{[^}]+}", "([^/]+)", path), url.path)
        if not found:
            continue
        operation = item.get(method.lower())
        if operation is None:
            return [f"{method} is not described"]
        values = {("path", name): unquote(group) for name, group in zip(names, found.groups())}
        values.update({("query", name): value for name, value in parse_qsl(url.query)})
        said = list(parameters(spec, item, operation, values))
        described = operation.get("requestBody")
        if described is None:
            return said + (["a body is not described"] if body else [])
        described = resolve(spec, described)
        if not body:
            return said + (["a body is needed"] if described.get("required") else [])
        holder = operation["requestBody"]
        words = ["paths", path, method.lower(), "requestBody", "content", "application/json", "schema"]
        reference = pointer(*words)
        if "$ref" in holder:
            reference = holder["$ref"] + pointer("content", "application/json", "schema").removeprefix("#")
        return said + list(complaints_of(registry, reference, json.loads(body)))
    return ["no such path is described"]


with open(sys.argv[1], encoding="utf-8") as file:
    SPEC = without_discriminators(yaml.safe_load(file))
REGISTRY = Registry().with_resource(BASE, Resource(contents=SPEC, specification=DRAFT4))
told = []
for method, target, body in json.load(sys.stdin):
    told += [f"{method} {target}: {says}" for says in judge(SPEC, REGISTRY, method, target, body)]
json.dump(told, sys.stdout)
