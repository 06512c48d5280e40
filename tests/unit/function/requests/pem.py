"""The text around a request: what readers of PEM skip, repair or read differently."""

import base64
from typing import Final

from tests.unit.function.builders import SUBJECT, make_request_der, pem
from tests.unit.function.requests.table import invalid, permitted, refused, row, table

_DER: Final = make_request_der()
_TEXT: Final = pem(_DER)
_BODY: Final = base64.b64encode(_DER)
_BEGIN: Final = b"-----BEGIN CERTIFICATE REQUEST-----\n"
_END: Final = b"-----END CERTIFICATE REQUEST-----\n"
_LINE: Final = _TEXT.splitlines()[1]
_OTHER: Final = b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n"


def _lines(width: int, end: bytes = b"\n") -> bytes:
    return _BEGIN + b"".join(_BODY[start : start + width] + end for start in range(0, len(_BODY), width)) + _END


def _with_url_alphabet() -> bytes:
    assert b"/" in _BODY or b"+" in _BODY, "the request has no character that the two alphabets write differently"
    head, body, tail = _TEXT.partition(_BODY[:64])
    return head + (body + tail.partition(b"-----END")[0]).translate(bytes.maketrans(b"+/", b"-_")) + _END


def _without_padding() -> bytes:
    end = _BODY.rstrip(b"=")
    assert end != _BODY, "the request needs no padding"
    return _TEXT.replace(_BODY[-8:], end[-(8 - len(_BODY) + len(end)) :])


CASES: Final = table(
    refused("Go encoding/pem, pyca: lenient readers", "request", "request.pem"),
    invalid("another block before the request", _OTHER + _TEXT),
    row("another block after the request", _TEXT + _OTHER),
    row("a header without a value", _TEXT.replace(_BEGIN, _BEGIN + b"X:\n\n")),
    row("an empty line before base64", _TEXT.replace(_BEGIN, _BEGIN + b"\n")),
    row("an empty line within base64", _TEXT.replace(_LINE, _LINE + b"\n")),
    row("an unfinished block before the request", b"-----BEGIN X509 CRL-----\n" + _TEXT),
    row("blanks after a line", _TEXT.replace(_LINE, _LINE + b"  ")),
    row("blanks before a line", _TEXT.replace(_LINE, b"  " + _LINE)),
    row("a tab after the begin line", _TEXT.replace(b"REQUEST-----\n", b"REQUEST-----\t\n", 1)),
    invalid("a blank before the block", b" " + _TEXT),
    invalid("line ends of CR alone", _TEXT.replace(b"\n", b"\r")),
    invalid("a byte order mark", b"\xef\xbb\xbf" + _TEXT),
    invalid("text in UTF-16", _TEXT.decode().encode("utf-16-le")),
    row("NUL after the block", _TEXT + b"\x00"),
    invalid("NUL within base64", _TEXT.replace(_LINE, _LINE[:-1] + b"\x00")),
    invalid("a form feed between lines", _TEXT.replace(_LINE, _LINE + b"\n\x0c")),
    refused("RFC 7468 section 3: what a lenient decoder of base64 or PEM repairs", "request", "request.pem"),
    row("base64 in one line", _lines(len(_BODY))),
    row("lines of 77 characters", _lines(77)),
    row("the begin line twice", _BEGIN + _TEXT),
    invalid("the alphabet of URLs", _with_url_alphabet()),
    invalid("base64 without its padding", _without_padding()),
    invalid("base64 with too much padding", _TEXT.replace(b"\n-----END", b"=\n-----END")),
    invalid("a character that base64 does not have", _TEXT.replace(b"\nMI", b"\nM*I", 1)),
    invalid("an empty block", _BEGIN + _END),
    invalid("the end line alone", _END),
    invalid("the end line before the begin line", _END + _BEGIN),
    invalid("another label in the end line", _TEXT.replace(b"END CERT", b"END NEW CERT")),
    invalid("a label in lower case", _TEXT.lower().replace(_BODY.lower(), _BODY)),
    invalid("a label with two blanks", _TEXT.replace(b"CERTIFICATE ", b"CERTIFICATE  ")),
    invalid("four dashes", _TEXT.replace(b"-----", b"----")),
    invalid("six dashes", _TEXT.replace(b"-----", b"------")),
    invalid("DER without PEM", _DER),
    invalid("base64 without PEM", _BODY),
    invalid("the text in base64 once more", base64.b64encode(_TEXT)),
    refused("cert-manager pem/decode_test.go, TestPathologicalInput", "request", "request.pem"),
    invalid("hundreds of begin lines", _BEGIN * 450),
    invalid("dashes alone", b"-" * 4096),
    invalid("lines of one character", _BEGIN + b"A\n" * 2048 + b"!" + _END),
    refused("fulcio grpc_server_test.go; GHSA-r4pg-vg54-wxx4", "request.subject", "request.size"),
    row("a well-formed request of more than 16 KiB", (*SUBJECT, ("2.5.4.13", "x" * 12_000))),
    permitted("RFC 7468 section 3: what a writer of PEM may do", "request"),
    row("lines of 76 characters", _lines(76)),
    row("short lines", _lines(16)),
    row("lines that end in CR LF", _lines(64, b"\r\n").replace(b"-----\n", b"-----\r\n")),
    row("line ends of both kinds", _lines(64, b"\r\n")),
    row("no line end after the block", _TEXT.rstrip(b"\n")),
)
