// KYCVS.open puts the vaccination check of this authority into a page, as a
// frame; where frames cannot work it leads to the authority and back. No
// dependency, no cookie. See docs/embed.md.
(() => {
"use strict";
const home = new URL(document.currentScript ? document.currentScript.src : location.href).origin;
const find = (e) => (typeof e === "string" ? document.querySelector(e) : e);

function newNonce() {
	const raw = crypto.getRandomValues(new Uint8Array(16));
	return btoa(String.fromCharCode(...raw)).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
}

function open(options) {
	const button = find(options.button);
	if (!button) return begin(options);
	let running = null;
	const press = () => { running?.close(); running = begin(options); };
	button.addEventListener("click", press);
	return { close() { button.removeEventListener("click", press); running?.close(); } };
}

function begin({ partner, nonce, container, button, lang, title, timeout, onanswer, onerror, redirect }) {
	if (!partner) throw new TypeError("KYCVS.open: partner is missing: the id that the authority gave you");
	nonce ||= newNonce();
	const place = find(container) || find(button)?.parentElement;
	if (!place) throw new TypeError("KYCVS.open: neither container nor button is on this page");
	let frame = null, timer = 0, over = false;

	const stop = () => {
		over = true;
		clearTimeout(timer);
		removeEventListener("message", hear);
		document.removeEventListener("securitypolicyviolation", refused);
	};
	const close = () => { stop(); frame?.remove(); frame = null; };
	const fail = (code, reason) => onerror?.({ code, reason, nonce });

	// elsewhere hands over at top level, where the partner said how.
	function elsewhere(reason) {
		if (over) return;
		close();
		if (!redirect) return fail("frame_blocked", reason);
		const to = home + "/start?" + new URLSearchParams({ partner, state: redirect.state, return: redirect.return, ...(lang && { lang }) });
		if (redirect.target !== "tab") return location.assign(to);
		// A new tab needs a press of the person's.
		const a = document.createElement("a");
		a.href = to;
		a.target = "_blank";
		a.rel = "noopener";
		a.textContent = redirect.label || title || new URL(home).host;
		place.append(a);
		frame = a;
	}

	function refused(e) {
		if (/^(frame|child|default)-src/.test(e.effectiveDirective) && e.blockedURI.startsWith(home)) elsewhere("csp");
	}

	function hear(e) {
		const m = e.data;
		if (e.origin !== home || !frame || e.source !== frame.contentWindow || m?.kycvs !== 1 || m.nonce !== nonce) return;
		clearTimeout(timer);
		switch (m.type) {
		case "size":
			frame.style.height = Math.min(Math.max(m.height | 0, 200), 4000) + "px";
			break;
		case "answer": {
			stop();
			const { nonce, vaccination_status, assertion, txnId, consent, expires_at } = m;
			onanswer?.({ nonce, vaccination_status, assertion, txnId, consent, expires_at });
			break;
		}
		case "cancel":
			close();
			fail("access_denied", "the person said no");
		}
	}

	if (!/^https?:\/\//.test(location.origin)) { // sandboxed, or a file
		elsewhere("origin");
		return { nonce, close };
	}
	const room = place.getBoundingClientRect().width;
	if (room > 0 && room < 240) {
		elsewhere("too_small");
		return { nonce, close };
	}
	addEventListener("message", hear);
	document.addEventListener("securitypolicyviolation", refused);
	frame = document.createElement("iframe");
	frame.title = title || "KYC-VS";
	frame.allow = "otp-credentials";
	frame.style.cssText = "display:block;border:0;width:100%;max-width:36rem;height:40rem;color-scheme:light dark";
	frame.src = home + "/embed/?" + new URLSearchParams({ partner, origin: location.origin, nonce, ...(lang && { lang }) });
	timer = setTimeout(() => elsewhere("no_answer"), timeout || 10000);
	place.append(frame);
	return { nonce, close };
}

window.KYCVS = Object.freeze({ open });
})();
