"""What people do with the Python SDK, against a mounted vault: flows.py MOUNTPOINT.

Each flow looks at the answers and at the files in the mount. CLOUDINARY_URL says where.
"""

import base64
import hashlib
import io
import os
import pathlib
import sys
import time
import urllib.error
import urllib.parse
import urllib.request

import cloudinary
from cloudinary import api, exceptions, uploader, utils
from cloudinary.search import Search

from pictures import png

MOUNT = pathlib.Path(sys.argv[1])


def refused(kind, call, *words):
    try:
        answer = call()
    except kind as error:
        for word in words:
            assert word in str(error), (word, error)
        return str(error)
    raise AssertionError(f"it should have been refused: {answer}")


def picture(public_id, shade=0, **options):
    return uploader.upload(io.BytesIO(png(4, 3, shade)), public_id=public_id, **options)


def uploads_show_in_the_mount_and_files_of_the_mount_in_the_api():
    answer = picture("folder/a b", tags="x,y&z", context="k=v|l=a\\=b")
    assert answer["format"] == "png" and (answer["width"], answer["height"]) == (4, 3)
    assert answer["etag"] == hashlib.md5(png(4, 3)).hexdigest()
    assert answer["tags"] == ["x", "y&z"], answer
    assert utils.verify_api_response_signature(answer["public_id"], answer["version"], answer["signature"])
    file = MOUNT / "folder/a b.png"
    assert file.read_bytes() == png(4, 3)
    assert os.getxattr(file, "user.keepfs.tags") == b"x,y&z"
    assert os.getxattr(file, "user.keepfs.context") == b"k=v|l=a\\=b"
    assert "user.keepfs.tags" in os.listxattr(file)

    (MOUNT / "by-hand").mkdir()
    (MOUNT / "by-hand/notes.txt").write_text("written in the mount")
    details = api.resource("by-hand/notes.txt", resource_type="raw", versions=True)
    assert details["bytes"] == 20 and "format" not in details, details
    assert [version["size"] for version in details["versions"]] == [20]
    os.setxattr(MOUNT / "by-hand/notes.txt", "user.keepfs.tags", b"mine")
    assert api.resource("by-hand/notes.txt", resource_type="raw")["tags"] == ["mine"]
    with urllib.request.urlopen(details["secure_url"]) as original:
        assert original.read() == b"written in the mount"


def an_upload_over_an_asset_is_its_next_version():
    picture("twice", 1)
    second = picture("twice", 2)
    assert second["overwritten"] is True
    same = picture("twice", 2)
    versions = api.resource("twice", versions=True)["versions"]
    assert len(versions) == 2, "the same bytes again are no version"
    assert versions[-1]["version_id"] == same["version_id"]
    assert isinstance(versions[0]["version"], str) and versions[0]["restorable"]
    assert "versions" not in api.resource("twice")
    kept = picture("twice", 3, overwrite=False)
    assert kept["existing"] is True and (MOUNT / "twice.png").read_bytes() == png(4, 3, 2)
    ids = sorted(os.listdir(MOUNT / ".versions/twice.png"))
    assert len(ids) == 2, ids


def backup_of_one_upload_wins_over_the_vault_both_ways():
    answer = picture("no-backup", backup=False)
    assert answer["backup"] is False and "version_id" not in answer, answer
    assert os.getxattr(MOUNT / "no-backup.png", "user.keepfs.backup") == b"off"
    assert not (MOUNT / ".versions/no-backup.png").exists()
    assert api.resource("no-backup", versions=True)["versions"] == []
    again = picture("no-backup", 1, backup=True)
    assert again["backup"] is True and again["version_id"]
    assert "user.keepfs.backup" not in os.listxattr(MOUNT / "no-backup.png")
    picture("gone-for-good", backup=False)
    api.delete_resources(["gone-for-good"])
    refused(exceptions.NotFound, lambda: api.resource("gone-for-good"), "gone-for-good")


def tags_and_context_change_without_a_version():
    picture("labels", tags=["a"])
    before = api.resource("labels", versions=True)["versions"]
    assert uploader.add_tag("b", ["labels"]) == {"public_ids": ["labels"]}
    uploader.add_context({"who": "me"}, ["labels"])
    api.update("labels", context="who=you|why=so")
    details = api.resource("labels", versions=True)
    assert details["tags"] == ["a", "b"]
    assert details["context"]["custom"] == {"who": "you", "why": "so"}
    assert details["versions"] == before
    found = api.resources_by_tag("b", tags=True)["resources"]
    assert [row["public_id"] for row in found] == ["labels"]
    uploader.remove_tag("b", ["labels"])
    uploader.remove_all_tags(["labels"])
    uploader.remove_all_context(["labels"])
    assert api.resource("labels")["tags"] == []


def a_deleted_asset_is_found_restored_and_its_name_is_reserved():
    picture("pet", 1, tags="cat")
    picture("pet", 2)
    answer = api.delete_resources(["pet", "nobody"])
    assert answer["deleted"] == {"pet": "deleted", "nobody": "not_found"}
    assert not (MOUNT / "pet.png").exists() and (MOUNT / ".deleted/pet.png").exists()
    gone = api.resource("pet", versions=True)
    assert gone["placeholder"] is True and gone["bytes"] == 0 and len(gone["versions"]) == 2
    picture("other")
    words = refused(exceptions.BadRequest, lambda: uploader.rename("other", "pet"), "reserved")
    assert "/" not in words.replace("to_public_id", ""), "no path of the server"
    refused(exceptions.BadRequest, lambda: uploader.rename("other", "pet", overwrite=True))

    restored = api.restore(["pet", "nobody"])
    assert restored["nobody"] == {"error": "no_backup"}
    assert restored["pet"]["asset_id"] == gone["asset_id"] and restored["pet"]["tags"] == ["cat"]
    assert (MOUNT / "pet.png").read_bytes() == png(4, 3, 2)
    api.restore("pet", versions=[gone["versions"][0]["version_id"]])
    assert (MOUNT / "pet.png").read_bytes() == png(4, 3, 1)
    assert uploader.destroy("pet") == {"result": "ok"}
    assert uploader.destroy("pet") == {"result": "not found"}
    picture("pet", 3)
    assert api.resource("pet", versions=True)["asset_id"] == gone["asset_id"], "history goes on"

    by_id = api.restore_by_asset_ids([gone["asset_id"]], versions=[gone["versions"][1]["version_id"]])
    assert by_id[gone["asset_id"]]["public_id"] == "pet"
    refused(exceptions.BadRequest, lambda: api.restore(["a", "b"], versions=["c"]), "must match")
    refused(exceptions.BadRequest, lambda: api.restore_by_asset_ids(["abc123"]), "Invalid asset_id: abc123")


def several_are_restored_at_once():
    names = [f"several/{number}" for number in range(20)]
    for number, name in enumerate(names):
        picture(name, number)
    api.delete_resources_by_prefix("several/")
    assert not list((MOUNT / "several").glob("*.png"))
    assert set(api.restore(names)) == set(names)
    assert len(list((MOUNT / "several").glob("*.png"))) == 20


def a_rename_takes_the_history_along():
    first = picture("old-name", 1)
    picture("old-name", 2)
    renamed = uploader.rename("old-name", "deep/er/new-name")
    assert renamed["asset_id"] == first["asset_id"]
    assert not (MOUNT / "old-name.png").exists()
    assert (MOUNT / "deep/er/new-name.png").read_bytes() == png(4, 3, 2)
    assert len(api.resource("deep/er/new-name", versions=True)["versions"]) == 2
    picture("taken")
    refused(exceptions.BadRequest, lambda: uploader.rename("taken", "deep/er/new-name"), "already exists")
    refused(exceptions.NotFound, lambda: uploader.rename("nobody", "somebody"), "Resource not found - nobody")
    uploader.rename("taken", "deep/er/new-name", overwrite=True)
    assert (MOUNT / "deep/er/new-name.png").read_bytes() == png(4, 3)


def versions_are_downloaded_and_deleted_for_good():
    picture("dl", 1)
    picture("dl", 2)
    details = api.resource("dl", versions=True)
    asset_id, versions = details["asset_id"], details["versions"]
    url = utils.download_backedup_asset(asset_id, versions[0]["version_id"])
    with urllib.request.urlopen(url) as version:
        assert version.read() == png(4, 3, 1)
        assert "attachment" in version.headers["content-disposition"]
    stale = utils.download_backedup_asset(
        asset_id, versions[0]["version_id"], timestamp=int(time.time()) - 3700
    )
    for url, words in [
        (stale, "more than 1 hour ago"),
        (url.replace(versions[0]["version_id"], versions[1]["version_id"]), "Invalid Signature"),
        (utils.download_backedup_asset("0" * 32, versions[0]["version_id"]), "Illegal id"),
        (utils.download_backedup_asset(asset_id, "0" * 32), "does not exist"),
    ]:
        try:
            urllib.request.urlopen(url)
            raise AssertionError(url)
        except urllib.error.HTTPError as error:
            body = error.read().decode()
            assert words in body, (words, body)

    answer = api.delete_backed_up_assets(asset_id, [versions[0]["version_id"]])
    assert answer["deleted_version_ids"] == [versions[0]["version_id"]]
    assert len(os.listdir(MOUNT / ".versions/dl.png")) == 1
    api.delete_resources(["dl"])
    api.delete_backed_up_assets(asset_id, [versions[1]["version_id"]])
    refused(exceptions.NotFound, lambda: api.resource("dl"))
    picture("heir")
    uploader.rename("heir", "dl")


def large_files_come_in_parts():
    content = os.urandom(1_000_000)
    local = MOUNT / "local.bin"
    local.write_bytes(content)
    answer = uploader.upload_large(
        str(local), resource_type="raw", public_id="parts.bin", chunk_size=300_000
    )
    assert answer["bytes"] == len(content)
    assert (MOUNT / "parts.bin").read_bytes() == content
    assert len(os.listdir(MOUNT / ".versions/parts.bin")) == 1


def listings_go_on_where_they_ended():
    for number in range(5):
        picture(f"paged/{number}")
    seen, cursor = [], None
    while True:
        page = api.resources(type="upload", prefix="paged/", max_results=2, next_cursor=cursor)
        seen += [row["public_id"] for row in page["resources"]]
        cursor = page.get("next_cursor")
        if not cursor:
            break
    assert seen == [f"paged/{number}" for number in range(5)]
    ids = [api.resource(name)["asset_id"] for name in seen[:2]]
    by_ids = api.resources_by_asset_ids(ids)["resources"]
    assert [row["public_id"] for row in by_ids] == seen[:2]
    assert len(api.resources_by_ids(seen)["resources"]) == 5
    assert api.resource_by_asset_id(ids[0], versions=True)["versions"]
    refused(exceptions.BadRequest, lambda: api.resources(max_results=501), "max_results")
    refused(exceptions.BadRequest, lambda: api.resources(next_cursor="nonsense"), "next_cursor")


def assets_are_found_by_expressions():
    picture("find/me", tags="needle")
    picture("find/deleted")
    api.delete_resources(["find/deleted"])
    found = Search().expression("tags:needle AND format=png").with_field("tags").execute()
    assert [row["public_id"] for row in found["resources"]] == ["find/me"]
    assert found["total_count"] == 1 and found["resources"][0]["tags"] == ["needle"]
    deleted = Search().expression("status=deleted AND folder=find AND created_at>1d").execute()
    assert [row["public_id"] for row in deleted["resources"]] == ["find/deleted"]
    assert deleted["resources"][0]["status"] == "deleted"
    both = Search().expression("public_id:find/* AND status:(active OR deleted)")
    both = both.sort_by("public_id", "asc").max_results(1)
    first = both.execute()
    assert first["total_count"] == 2 and first["resources"][0]["public_id"] == "find/deleted"
    second = both.next_cursor(first["next_cursor"]).execute()
    assert second["resources"][0]["public_id"] == "find/me" and "next_cursor" not in second
    assert Search().expression("no_such_field:x").execute()["total_count"] == 0
    refused(
        exceptions.BadRequest, lambda: Search().expression("(format=png").execute(), "position"
    )


def bad_input_is_refused_in_one_line():
    for public_id in ["../etc/passwd", "a//b", "a/../b", ".versions/x", "x" * 4000, "a\0b", "/a"]:
        words = refused(exceptions.Error, lambda: picture(public_id))
        assert "\n" not in words and str(MOUNT) not in words, words
    (MOUNT / "file").write_text("a file")
    refused(exceptions.BadRequest, lambda: picture("file/inside"), "folder")
    refused(
        exceptions.BadRequest,
        lambda: uploader.upload(io.BytesIO(b"no picture"), public_id="text"),
        "Invalid image file",
    )
    refused(exceptions.BadRequest, lambda: uploader.upload("http://127.0.0.1:1/x.png"), "not fetched")
    many = [f"many/{number}" for number in range(1001)]
    refused(exceptions.BadRequest, lambda: api.delete_resources(many), "at most 1000")
    good = cloudinary.config().api_secret
    cloudinary.config(api_secret="wrong")
    refused(exceptions.AuthorizationRequired, api.ping)
    refused(exceptions.AuthorizationRequired, lambda: picture("unsigned"), "Invalid Signature")
    cloudinary.config(api_secret=good)
    stale = {"public_id": "stale", "timestamp": str(int(time.time()) - 3700)}
    stale["signature"] = utils.api_sign_request(stale, good)
    stale |= {"api_key": cloudinary.config().api_key, "file": "data:,x"}
    url = f"{cloudinary.config().upload_prefix}/v1_1/demo/raw/upload"
    try:
        urllib.request.urlopen(url, urllib.parse.urlencode(stale).encode())
        raise AssertionError("a stale call went through")
    except urllib.error.HTTPError as error:
        body = error.read().decode()
        assert error.code == 400 and "1 hour ago" in body, body
    assert not list(MOUNT.glob("**/.keepfs-upload*"))


def an_upload_may_be_a_data_uri_and_gets_an_id_where_none_is_given():
    encoded = base64.b64encode(png(4, 3, 7)).decode()
    answer = uploader.upload(f"data:image/png;base64,{encoded}", folder="drawn")
    assert answer["public_id"].startswith("drawn/") and answer["format"] == "png", answer
    assert (MOUNT / f"{answer['public_id']}.png").read_bytes() == png(4, 3, 7)
    other = uploader.upload(f"data:image/png;base64,{encoded}", folder="drawn")
    assert other["public_id"] != answer["public_id"]
    text = uploader.upload("data:text/plain;base64,YSBi", public_id="plain.txt", resource_type="raw")
    assert text["bytes"] == 3 and (MOUNT / "plain.txt").read_bytes() == b"a b"
    refused(exceptions.BadRequest, lambda: uploader.upload("data:image/png;base64,A"), "data URI")
    local = MOUNT.parent / "Named File.png"
    local.write_bytes(png(4, 3, 8))
    named = uploader.upload(str(local), use_filename=True, unique_filename=False)
    assert named["public_id"] == "Named File" and named["original_filename"] == "Named File"


def many_are_deleted_by_their_ids_by_a_tag_and_all():
    ids = {name: picture(f"gone/{name}", tags=["leaving"] if name < "c" else [])["asset_id"] for name in "abcd"}
    answer = api.delete_resources_by_asset_ids([ids["d"], "0" * 32])
    assert answer["deleted"] == {ids["d"]: "deleted", "0" * 32: "not_found"}, answer
    answer = api.delete_resources_by_tag("leaving")
    assert set(answer["deleted"]) == {"gone/a", "gone/b"}, answer
    assert [file.name for file in (MOUNT / "gone").iterdir()] == ["c.png"]
    uploader.upload("data:text/plain;base64,eA==", public_id="stays.txt", resource_type="raw")
    answer = api.delete_all_resources()
    assert answer["deleted"]["gone/c"] == "deleted" and answer["partial"] is False
    assert not list(MOUNT.glob("**/*.png")) and (MOUNT / "stays.txt").exists(), "only images"
    assert set(api.resource_types()["resource_types"]) == {"image", "video", "raw"}


def versions_of_which_one_is_unknown_are_deleted_as_far_as_they_are_there():
    picture("partly", 1)
    picture("partly", 2)
    details = api.resource("partly", versions=True)
    first = details["versions"][0]["version_id"]
    answer = api.delete_backed_up_assets(details["asset_id"], [first, "0" * 32])
    assert answer["deleted_version_ids"] == [first]
    assert answer["failures"][0]["version_id"] == "0" * 32, answer
    assert len(api.resource("partly", versions=True)["versions"]) == 1


def the_account_says_how_much_there_is():
    assert api.config()["cloud_name"] == "demo"
    assert api.ping() == {"status": "ok"}
    usage = api.usage()
    assert usage["objects"]["usage"] > 0 and usage["backup"]["versions"] > 0, usage


for flow in [value for value in list(globals().values()) if getattr(value, "__module__", "") == "__main__"]:
    if flow not in (refused, picture):
        print(flow.__name__, flush=True)
        flow()
print("all flows passed")
