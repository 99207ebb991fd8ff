"""What programs written with the `kubernetes` package do, one case a run."""

import datetime
import os
import sys
import time

from kubernetes import client, watch

GROUP, VERSION, NAMESPACE, PLURAL = "lab.neuroglia.com", "v1", "school", "labinstances"
LABS = (GROUP, VERSION, NAMESPACE, PLURAL)
ROBOTS = ("example.com", "v1", NAMESPACE, "robots")
BOUND = 60

configuration = client.Configuration()
configuration.host = os.environ["ROA"]
api = client.ApiClient(configuration)
custom = client.CustomObjectsApi(api)
core = client.CoreV1Api(api)


def lab(name, duration="30m"):
    spec = {"template": "rehearsal", "studentEmail": "student@example.com", "duration": duration}
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": "LabInstance", "metadata": {"name": name}, "spec": spec}


def refused(status, call, *arguments, **named):
    """Calls what must be refused with this status."""
    try:
        call(*arguments, **named)
    except client.ApiException as error:
        assert error.status == status, error
    else:
        raise AssertionError(f"not refused with {status}")


def until(what, look):
    """Looks until there is something."""
    end = time.monotonic() + BOUND
    while time.monotonic() < end:
        if look():
            return
        time.sleep(0.05)
    raise AssertionError(f"{what}: not in time")


def names(objects):
    return [item["metadata"]["name"] for item in objects["items"]]


def discovery():
    assert client.VersionApi(api).get_code().minor == "32"
    assert GROUP in [group.name for group in client.ApisApi(api).get_api_versions().groups]
    resources = custom.get_api_resources(GROUP, VERSION).resources
    assert PLURAL in [resource.name for resource in resources]
    assert "namespaces" in [resource.name for resource in core.get_api_resources().resources]


def objects():
    created = custom.create_namespaced_custom_object(*LABS, lab("a"))
    assert created["metadata"]["generation"] == 1
    refused(409, custom.create_namespaced_custom_object, *LABS, lab("a"))
    refused(404, custom.get_namespaced_custom_object, *LABS, "nobody")
    read = custom.get_namespaced_custom_object(*LABS, "a")
    read["spec"]["duration"] = "45m"
    assert custom.replace_namespaced_custom_object(*LABS, "a", read)["metadata"]["generation"] == 2
    refused(409, custom.replace_namespaced_custom_object, *LABS, "a", read)
    custom.create_namespaced_custom_object(*LABS, lab("b"), dry_run="All")
    assert names(custom.list_cluster_custom_object(GROUP, VERSION, PLURAL)) == ["a"]
    custom.delete_namespaced_custom_object(*LABS, "a")
    refused(404, custom.get_namespaced_custom_object, *LABS, "a")


def patches():
    custom.create_namespaced_custom_object(*LABS, lab("a"))
    merged = custom.patch_namespaced_custom_object(*LABS, "a", {"metadata": {"labels": {"room": "1"}}})
    assert merged["metadata"]["labels"] == {"room": "1"}
    steps = [{"op": "test", "path": "/spec/duration", "value": "30m"},
             {"op": "replace", "path": "/spec/duration", "value": "40m"}]
    content = {"_content_type": "application/json-patch+json"}
    assert custom.patch_namespaced_custom_object(*LABS, "a", steps, **content)["spec"]["duration"] == "40m"
    refused(422, custom.patch_namespaced_custom_object, *LABS, "a", steps, **content)
    applied = {"apiVersion": f"{GROUP}/{VERSION}", "kind": "LabInstance", "spec": {"duration": "50m"}}
    content = {"_content_type": "application/apply-patch+yaml", "field_manager": "teacher"}
    refused(409, custom.patch_namespaced_custom_object, *LABS, "a", applied, **content)
    forced = custom.patch_namespaced_custom_object(*LABS, "a", applied, force=True, **content)
    assert forced["spec"]["duration"] == "50m"
    refused(415, custom.patch_namespaced_custom_object, *LABS, "a", {},
            _content_type="application/strategic-merge-patch+json")


def pages():
    for number in range(5):
        labels = {"parity": str(number % 2)}
        made = lab(f"l{number}")
        made["metadata"]["labels"] = labels
        custom.create_namespaced_custom_object(*LABS, made)
    seen, more = [], None
    while True:
        page = custom.list_namespaced_custom_object(*LABS, limit=2, _continue=more) if more else \
            custom.list_namespaced_custom_object(*LABS, limit=2)
        seen += names(page)
        more = page["metadata"].get("continue")
        if not more:
            break
    assert seen == [f"l{number}" for number in range(5)], seen
    refused(400, custom.list_namespaced_custom_object, *LABS, limit=2, _continue="nonsense")
    custom.delete_collection_namespaced_custom_object(*LABS, label_selector="parity=1")
    assert names(custom.list_namespaced_custom_object(*LABS)) == ["l0", "l2", "l4"]
    custom.delete_collection_namespaced_custom_object(*LABS)
    assert names(custom.list_namespaced_custom_object(*LABS)) == []


def watches():
    custom.create_namespaced_custom_object(*LABS, lab("a"))
    since = custom.list_namespaced_custom_object(*LABS)["metadata"]["resourceVersion"]
    custom.create_namespaced_custom_object(*LABS, lab("b"))
    custom.patch_namespaced_custom_object(*LABS, "a", {"spec": {"duration": "35m"}})
    custom.delete_namespaced_custom_object(*LABS, "b")

    def told(since, count):
        stream, seen = watch.Watch(), []
        for event in stream.stream(custom.list_namespaced_custom_object, *LABS, resource_version=since,
                                   timeout_seconds=BOUND):
            metadata = event["object"]["metadata"]
            seen.append((event["type"], metadata["name"], metadata["resourceVersion"]))
            if len(seen) == count:
                stream.stop()
        return seen

    seen = told(since, 3)
    assert [event[:2] for event in seen] == [("ADDED", "b"), ("MODIFIED", "a"), ("DELETED", "b")], seen
    assert told(seen[0][2], 2) == seen[1:]


def gone():
    first = custom.create_namespaced_custom_object(*LABS, lab("a"))["metadata"]["resourceVersion"]
    for number in range(60):
        custom.create_namespaced_custom_object(*LABS, lab(f"l{number}"))

    def watched():
        for _ in watch.Watch().stream(custom.list_namespaced_custom_object, *LABS, resource_version=first,
                                      timeout_seconds=BOUND):
            raise AssertionError("an event of a history that is gone")

    refused(410, watched)


def namespaces():
    declare()
    core.create_namespace({"metadata": {"name": "annex"}})
    assert core.read_namespace("annex").status.phase == "Active"
    custom.create_namespaced_custom_object("lab.neuroglia.com", "v1", "annex", PLURAL, lab("a"))
    robot = {"apiVersion": "example.com/v1", "kind": "Robot", "metadata": {"name": "r"}, "spec": {"arms": 2}}
    custom.create_namespaced_custom_object("example.com", "v1", "annex", "robots", robot)
    about = client.V1ObjectReference(kind="LabInstance", name="a", namespace="annex")
    event = client.CoreV1Event(metadata=client.V1ObjectMeta(generate_name="lab-"), involved_object=about,
                               reason="Late", message="nobody came", type="Warning")
    core.create_namespaced_event("annex", event)
    found = core.list_namespaced_event("annex", field_selector="involvedObject.name=a,reason=Late").items
    assert [event.message for event in found] == ["nobody came"]
    core.delete_namespace("annex")
    until("the namespace is gone", lambda: "annex" not in [it.metadata.name for it in core.list_namespace().items])
    assert names(custom.list_namespaced_custom_object(GROUP, VERSION, "annex", PLURAL)) == []
    assert names(custom.list_namespaced_custom_object("example.com", "v1", "annex", "robots")) == []


def leases():
    coordination = client.CoordinationV1Api(api)
    now = datetime.datetime.now(datetime.timezone.utc)
    spec = client.V1LeaseSpec(holder_identity="one", lease_duration_seconds=15, acquire_time=now, renew_time=now)
    body = client.V1Lease(metadata=client.V1ObjectMeta(name="leader"), spec=spec)
    mine = coordination.create_namespaced_lease(NAMESPACE, body)
    theirs = coordination.read_namespaced_lease("leader", NAMESPACE)
    assert theirs.spec.renew_time == now, (theirs.spec.renew_time, now)
    theirs.spec.holder_identity = "two"
    coordination.replace_namespaced_lease("leader", NAMESPACE, theirs)
    refused(409, coordination.replace_namespaced_lease, "leader", NAMESPACE, mine)
    assert coordination.read_namespaced_lease("leader", NAMESPACE).spec.holder_identity == "two"


def declare():
    open_object = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    properties = {"spec": {"type": "object", "properties": {"arms": {"type": "integer"}}}, "status": open_object}
    version = {"name": "v1", "served": True, "storage": True, "subresources": {"status": {}},
               "schema": {"openAPIV3Schema": {"type": "object", "properties": properties}}}
    names_ = {"plural": "robots", "singular": "robot", "kind": "Robot"}
    client.ApiextensionsV1Api(api).create_custom_resource_definition(
        {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
         "metadata": {"name": "robots.example.com"},
         "spec": {"group": "example.com", "scope": "Namespaced", "names": names_, "versions": [version]}})

    def served():
        try:
            return names(custom.list_namespaced_custom_object(*ROBOTS)) == []
        except client.ApiException:
            return False

    until("the kind is served", served)


def built(numbers, arms):
    def look():
        items = custom.list_namespaced_custom_object(*ROBOTS)["items"]
        status = {item["metadata"]["name"]: item.get("status", {}) for item in items}
        mine = [status[f"r{number}"] for number in numbers]
        return all(one.get("built", {}).get("arms") == arms for one in mine)

    until(f"robots with {arms} arms", look)


def robots(numbers):
    for number in numbers:
        custom.create_namespaced_custom_object(
            *ROBOTS, {"apiVersion": "example.com/v1", "kind": "Robot",
                      "metadata": {"name": f"r{number}"}, "spec": {"arms": 2}})


def first():
    robots(range(10))
    built(range(10), 2)


def second():
    robots(range(10, 20))
    built(range(10, 20), 2)
    for number in range(20):
        custom.patch_namespaced_custom_object(*ROBOTS, f"r{number}", {"spec": {"arms": 3}})

    def look():
        items = custom.list_namespaced_custom_object(*ROBOTS)["items"]
        states = [item.get("status", {}) for item in items]
        return all(state.get("rebuilt", {}).get("arms") == 3 and state.get("ticks") for state in states)

    until("all are rebuilt and have ticked", look)
    assert all(item["metadata"]["finalizers"] for item in custom.list_namespaced_custom_object(*ROBOTS)["items"])


def delete():
    for number in range(20):
        custom.delete_namespaced_custom_object(*ROBOTS, f"r{number}")
    until("all are gone", lambda: names(custom.list_namespaced_custom_object(*ROBOTS)) == [])

    def told():
        events = core.list_namespaced_event(NAMESPACE, field_selector="reason=Scrapped").items
        return {event.involved_object.name for event in events}

    # A handler whose end could not be written is run again, and tells again.
    try:
        until("their ends are told", lambda: len(told()) == 20)
    except AssertionError as error:
        raise AssertionError(f"{error}: of {sorted(told())}") from None


if __name__ == "__main__":
    globals()[sys.argv[1]]()
