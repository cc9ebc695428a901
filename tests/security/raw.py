"""Bytes that no browser and no library would send: what is sent to a server that nobody trusts anything to."""

from __future__ import annotations

UNFINISHED = {
    "nothing", "a blank line", "a size of 2**64 - 1", "no end of a chunk", "HTTP/2 from the first byte",
}  # fmt: skip
"""After which the server rightly waits for more."""


def corpus(bearer: str) -> dict[str, bytes]:
    """By a name, what is sent."""
    who = f"Authorization: Bearer {bearer}\r\n".encode()

    def request(line: bytes, *headers: bytes, body: bytes = b"", host: bytes = b"Host: 127.0.0.1") -> bytes:
        lines = [line, host, b"Connection: close", *headers]
        return b"\r\n".join(each for each in lines if each) + b"\r\n" + who + b"\r\n" + body

    def post(body: bytes, *headers: bytes, to: bytes = b"/api/v1/customer", kind: bytes = b"application/json") -> bytes:
        length = b"" if any(b"ength" in each or b"ncoding" in each for each in headers) else (
            b"Content-Length: %d" % len(body)
        )  # fmt: skip
        return request(b"POST " + to + b" HTTP/1.1", b"Content-Type: " + kind, length, *headers, body=body)

    def chunked(body: bytes, how: bytes = b"chunked") -> bytes:
        return post(body, b"Transfer-Encoding: " + how)

    def form(body: bytes, boundary: bytes = b"b") -> bytes:
        return post(body, to=b"/api/v1/file", kind=b"multipart/form-data; boundary=" + boundary)

    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\nx\r\n'
    return {
        # the line
        "nothing": b"",
        "a blank line": b"\r\n\r\n",
        "one NUL": b"\0",
        "no line at all": b"\xff" * 4000,
        "a handshake for TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 500,
        "HTTP/0.9": b"GET /\r\n",
        "HTTP/9.9": b"GET / HTTP/9.9\r\n\r\n",
        "no version": b"GET /sign-in\r\n\r\n",
        "HTTP/2 from the first byte": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "an unknown method": request(b"FROB / HTTP/1.1"),
        "a method of 9000 letters": request(b"A" * 9000 + b" / HTTP/1.1"),
        "TRACE": request(b"TRACE / HTTP/1.1"),
        "CONNECT": request(b"CONNECT 169.254.169.254:80 HTTP/1.1"),
        "an address of another": request(b"GET http://evil.example/ HTTP/1.1"),
        "a line of 100,000 signs": request(b"GET /" + b"a" * 100_000 + b" HTTP/1.1"),
        "spaces in the line": request(b"GET  /sign-in   HTTP/1.1"),
        "tabs in the line": request(b"GET\t/\tHTTP/1.1"),
        "raw bytes in the path": request(b"GET /\xff\xfe HTTP/1.1"),
        "NUL in the path": request(b"GET /a\0b HTTP/1.1"),
        "an escaped NUL in the path": request(b"GET /customer/%00 HTTP/1.1"),
        "no UTF-8 in the path": request(b"GET /customer/%ff%fe HTTP/1.1"),
        "half an escape": request(b"GET /customer/%f HTTP/1.1"),
        "up and out": request(b"GET /static/../../../../etc/passwd HTTP/1.1"),
        "up and out, escaped": request(b"GET /static/..%2f..%2f..%2fetc%2fpasswd HTTP/1.1"),
        "up and out, twice escaped": request(b"GET /static/%252e%252e/%252e%252e/etc/passwd HTTP/1.1"),
        "up and out, with backslashes": request(b"GET /static/..\\..\\secret.key HTTP/1.1"),
        "surrogates in the query": request(b"GET /api/v1/customer?filter=%ed%a0%80 HTTP/1.1"),
        "NUL in the query": request(b"GET /api/v1/customer?filter=name%3D%22%00%22 HTTP/1.1"),
        "20,000 parameters": request(
            b"GET /api/v1/customer?" + b"&".join(b"a%d=1" % n for n in range(20_000)) + b" HTTP/1.1"
        ),
        "4,000 parameters": request(
            b"GET /api/v1/customer?" + b"&".join(b"a%d=1" % n for n in range(4000)) + b" HTTP/1.1"
        ),
        "the same parameter 4,000 times": request(b"GET /api/v1/customer?" + b"q=1&" * 4000 + b" HTTP/1.1"),
        "a CR in the query": request(b"GET /sign-in?next=/%0d%0aSet-Cookie:a=b HTTP/1.1"),
        # the headers
        "no host": request(b"GET /sign-in HTTP/1.1", host=b""),
        "two hosts": request(b"GET / HTTP/1.1", b"Host: evil.example"),
        "somebody else's host": request(b"GET /sign-in HTTP/1.1", host=b"Host: evil.example"),
        "a host with a user": request(b"GET /sign-in HTTP/1.1", host=b"Host: a@127.0.0.1"),
        "a host that is none": request(b"GET /sign-in HTTP/1.1", host=b"Host: [::1"),
        "a host of 70,000 signs": request(b"GET /sign-in HTTP/1.1", host=b"Host: " + b"a" * 70_000),
        "a header without a colon": request(b"GET / HTTP/1.1", b"nonsense"),
        "a header without a name": request(b"GET / HTTP/1.1", b": x"),
        "a header with a space": request(b"GET / HTTP/1.1", b"X y : z"),
        "NUL in a header": request(b"GET / HTTP/1.1", b"X: a\0b"),
        "a folded header": request(b"GET / HTTP/1.1", b"X: a\r\n b"),
        "a bare CR": request(b"GET / HTTP/1.1", b"X: a\rY: b"),
        "1,000 headers": request(b"GET / HTTP/1.1", *(b"X-%d: y" % n for n in range(1000))),
        "a header of 100,000 signs": request(b"GET / HTTP/1.1", b"X: " + b"a" * 100_000),
        "1,000 cookies": request(b"GET / HTTP/1.1", b"Cookie: " + b"; ".join(b"c%d=x" % n for n in range(1000))),
        "a bent cookie": request(b"GET / HTTP/1.1", b'Cookie: rapport=".eJ\xff\x00;;==;"; =;'),
        "a language list without end": request(b"GET /sign-in HTTP/1.1", b"Accept-Language: " + b"a-b;q=0.1," * 800),
        "ranges without end": request(b"GET /api/openapi.json HTTP/1.1", b"Range: bytes=" + b"0-," * 2000),
        "tags without end": request(b"GET /api/openapi.json HTTP/1.1", b"If-None-Match: " + b'"a",' * 2000),
        "a date that is none": request(b"GET /api/openapi.json HTTP/1.1", b"If-Modified-Since: \xff 99 Foo 99999"),
        "a token that is none": request(b"GET /api/v1/customer HTTP/1.1", b"Authorization: Bearer \xff\xfe"),
        "a key of bytes": post(b'{"nmae": "Ada"}', b"Idempotency-Key: \xff\xfe" + b"x" * 300),
        # the length of the body
        "a length that is none": post(b"{}", b"Content-Length: x"),
        "a negative length": post(b"{}", b"Content-Length: -1"),
        "a length with a plus": post(b"{}", b"Content-Length: +2"),
        "a length of 30 digits": post(b"{}", b"Content-Length: " + b"9" * 30),
        "two lengths": post(b"{}", b"Content-Length: 2", b"Content-Length: 5"),
        "a length and chunks": post(b"0\r\n\r\n", b"Content-Length: 5", b"Transfer-Encoding: chunked"),
        "a body that was not announced": post(b'{"nmae": "Ada"}', b"Content-Length: 0"),
        # chunks
        "a size that is none": chunked(b"zz\r\nabc\r\n0\r\n\r\n"),
        "a negative size": chunked(b"-1\r\nabc\r\n0\r\n\r\n"),
        "a size of 40 digits": chunked(b"f" * 40 + b"\r\nabc\r\n0\r\n\r\n"),
        "a size of 2**64 - 1": chunked(b"f" * 16 + b"\r\nabc\r\n"),
        "a chunk longer than said": chunked(b"2\r\n{}{}{}\r\n0\r\n\r\n"),
        "no end of a chunk": chunked(b"2\r\n{}0\r\n\r\n"),
        "an extension of 100,000 signs": chunked(b"2;" + b"a" * 100_000 + b"\r\n[]\r\n0\r\n\r\n"),
        "100,000 trailers": chunked(
            b"2\r\n[]\r\n0\r\n" + b"".join(b"X%d: y\r\n" % n for n in range(100_000)) + b"\r\n"
        ),
        "bare LF between chunks": chunked(b"2\n[]\n0\n\n"),
        "an encoding nobody knows": chunked(b"{}", b"gzip, frob"),
        "chunked twice": chunked(b"2\r\n[]\r\n0\r\n\r\n", b"chunked, chunked"),
        "chunked misspelt": chunked(b"{}", b"xchunked"),
        # JSON
        "NUL as the body": post(b"\0"),
        "a lone surrogate": post(b'{"name": "\\ud800"}'),
        "NaN": post(b'{"name": NaN}'),
        "a number of 5,000 digits": post(b'{"name": ' + b"9" * 5000 + b"}"),
        "bytes that are no UTF-8": post(b'{"name": "\xff\xfe"}'),
        "a number of 500,000 digits": post(b'{"name": ' + b"9" * 500_000 + b"}"),
        "depth 100,000, lists": post(b"[" * 100_000),
        "depth 100,000, objects": post(b'{"a":' * 100_000),
        "depth 100,000, closed": post(b"[" * 100_000 + b"]" * 100_000),
        "100,000 keys": post(b"{" + b",".join(b'"k%d":1' % n for n in range(80_000)) + b"}"),
        "the same key 50,000 times": post(b"{" + b",".join([b'"name":1'] * 50_000) + b"}"),
        "half a string": post(b'{"name": "' + b"\\" * 99_999),
        "UTF-16": post('{"name": "Ada"}'.encode("utf-16")),
        "compressed": post(b"\x1f\x8b\x08\0\0\0", b"Content-Encoding: gzip"),
        # content types
        **{
            f"JSON as {kind.decode('latin-1')[:40]!r}": post(b'{"nmae": "Ada"}', kind=kind)
            for kind in (
                b"text/plain",
                b"application/x-www-form-urlencoded",
                b"multipart/form-data",
                b"multipart/form-data; boundary=",
                b"application/xml",
                b"application/json; charset=utf-7",
                b"application/jsonp",
                b"",
                b";",
                b"\xff/\xff",
                b"application/json" + b"; a=b" * 2000,
            )
        },
        # forms
        "100,000 parts": form(part.replace(b"filename", b"x") * 20_000 + b"--b--\r\n"),
        "no end of the form": form(part),
        "a form of CR": form(b"\r" * 300_000),
        "a form of LF": form(b"\n" * 300_000),
        "a form of CR LF": form(b"\r\n" * 300_000),
        "a form of boundaries": form(b"--b\r\n" * 100_000),
        "a form of dashes": form(b"-" * 300_000),
        "a part without a name": form(b"--b\r\nContent-Disposition: form-data\r\n\r\nx\r\n--b--\r\n"),
        "a part without headers": form(b"--b\r\n\r\nx\r\n--b--\r\n"),
        "headers of a part without end": form(b"--b\r\n" + b"X: y\r\n" * 100_000 + b"\r\nx\r\n--b--\r\n"),
        "one header of a part without end": form(
            b"--b\r\nContent-Disposition: form-data; name=" + b"a" * 500_000 + b"\r\n\r\nx\r\n--b--\r\n"
        ),
        "a form within a form": form(
            b"--b\r\nContent-Type: multipart/mixed; boundary=c\r\n\r\n--c\r\n\r\nx\r\n--c--\r\n--b--\r\n"
        ),
        "a boundary of 10,000 signs": form(part, b"b" * 10_000),
        "a boundary of brackets": form(part, b"(.*)*[" * 20),
        "a file without bytes": form(
            b'--b\r\nContent-Disposition: form-data; name="file"; filename=""\r\n\r\n\r\n--b--\r\n'
        ),
        "20,000 fields": post(
            b"&".join(b"a%d=1" % n for n in range(20_000)), to=b"/sign-in", kind=b"application/x-www-form-urlencoded"
        ),
        "a field of 4 MB": post(
            b"email=" + b"a" * 4_000_000, to=b"/sign-in", kind=b"application/x-www-form-urlencoded"
        ),
        "escapes that are none": post(
            b"email=%&%zz=%ff%fe&csrf_token=%00", to=b"/sign-in", kind=b"application/x-www-form-urlencoded"
        ),
        # many lines
        "100,000 operations": post(
            b'{"op": "create"}\n' * 100_000, to=b"/api/v1/customer/bulk", kind=b"application/x-ndjson"
        ),
        "lines of brackets": post(
            (b"[" * 1000 + b"\n") * 500, to=b"/api/v1/customer/bulk", kind=b"application/x-ndjson"
        ),
        # more than one
        "a second request within the first": request(
            b"GET /health HTTP/1.1", b"Content-Length: 60", body=b"GET /api/v1/user HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        ),
        "an upgrade": request(b"GET / HTTP/1.1", b"Connection: Upgrade", b"Upgrade: h2c", b"HTTP2-Settings: AAAA"),
        "a websocket": request(
            b"GET / HTTP/1.1",
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Key: x",
            b"Sec-WebSocket-Version: 13",
        ),
        "expecting something": post(b"{}", b"Expect: the-unexpected"),
    }
