#!/usr/bin/env python3
"""Writes mill.warc.gz beside itself: a crawl of a site that does not exist, one gzip member a record."""
import gzip
import pathlib


def record(number, kind, uri, block, content_type="application/http;msgtype=response"):
    head = (f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {uri}\r\n"
            f"WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-{number:012d}>\r\n"
            f"WARC-Date: 2026-01-02T03:04:{number:02d}Z\r\nContent-Type: {content_type}\r\n"
            f"Content-Length: {len(block)}\r\n\r\n")
    return head.encode() + block + b"\r\n\r\n"


def http(body, fields="Content-Type: text/html\r\n", status="200 OK"):
    return f"HTTP/1.1 {status}\r\n{fields}\r\n".encode() + body


def page(title, main, encoding="utf-8"):
    return (f"<!DOCTYPE html>\n<html><head><title>{title}</title></head><body><nav><a href='/'>Home</a> "
            f"<a href='/about'>About</a></nav>\n<main><h1>{title}</h1>{main}</main>\n"
            "<footer>Imprint and contact</footer></body></html>").encode(encoding)


HTML = "Content-Type: text/html\r\n"
bread = page("Baking bread", "<p>Mix flour, water and salt, and let the dough rest for an hour before you "
             "knead it again.</p><ul><li>500 g flour</li><li>300 g water</li></ul>"
             "<div class='share-buttons'>Share this recipe</div>")
muehle = page("Die alte Mühle", "<p>Die Mühle am Bach wurde vor zweihundert Jahren gebaut, und noch heute "
              "mahlt der Müller dort das Korn der Bauern aus dem Dorf.</p>", "iso-8859-1")
river = page("The river", "<p>The river turns the wheel of the mill all year, except in the dry weeks of "
             "summer when the water is low.</p>"
             "<table><tr><th>month<th>level</tr><tr><td>May<td>high</tr></table>")
chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (bread[:100], bread[100:])) + b"0\r\n\r\n"
packed = gzip.compress(river, mtime=0)
missing = page("Not found", "<p>Nothing here.</p>")

records = [
    record(1, "warcinfo", "", b"software: generated\r\n", "application/warc-fields"),
    record(2, "request", "http://mill.example/bread", b"GET /bread HTTP/1.1\r\n\r\n", "application/http"),
    record(3, "response", "<http://mill.example/bread>",
           http(chunks, HTML + "Transfer-Encoding: chunked\r\n")),
    record(4, "response", "http://mill.example/muehle",
           http(muehle, "Content-Type: text/html; charset=ISO-8859-1\r\n")),
    record(5, "response", "http://mill.example/river",
           http(packed, HTML + "Content-Encoding: gzip\r\nX-Robots-Tag: noai\r\n")),
    record(6, "response", "http://mill.example/lie", http(river, HTML + "Content-Encoding: gzip\r\n")),
    record(7, "response", "http://mill.example/gone", http(missing, HTML, "404 Not Found")),
    record(8, "response", "http://mill.example/logo.png", http(b"\x89PNG", "Content-Type: image/png\r\n")),
]
path = pathlib.Path(__file__).with_name("mill.warc.gz")
path.write_bytes(b"".join(gzip.compress(item, mtime=0) for item in records))
