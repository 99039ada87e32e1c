// The page in the frame. It talks to this authority and, in messages, to the one
// origin that it was made for. What it knows of the person stays in this page's
// memory: no cookie, no storage.
(() => {
"use strict";
const data = document.body.dataset;
const $ = (id) => document.getElementById(id);
const sections = document.querySelectorAll("section");
const trouble = $("trouble"), busy = $("busy");
let txn = "", pass = "", working = false, timer = 0, listening = null;

const post = (type, more) => parent.postMessage({ kycvs: 1, type, nonce: data.nonce, ...more }, data.origin);

function show(id, quietly) {
	for (const s of sections) s.hidden = s.id !== id;
	$("no").hidden = !["consent", "code", "birth"].includes(id);
	complain("");
	// The page around is what the person is reading until they come to us.
	if (!quietly) ($(id).querySelector("input.code") || $(id).querySelector("h1")).focus();
}

function complain(text) {
	trouble.textContent = text;
	trouble.hidden = !text;
	if (text) trouble.scrollIntoView({ block: "nearest" });
}

function field(name, wrong) {
	const e = $(name + "-error");
	const input = name === "consent" ? $("tick") : $(name);
	e.hidden = !wrong;
	if (wrong) input.setAttribute("aria-invalid", "true"); else input.removeAttribute("aria-invalid");
	return input;
}

async function call(path, fields) {
	try {
		const r = await fetch("/embed/" + path, {
			method: "POST",
			headers: { "Content-Type": "application/json", "Accept": "application/json" },
			body: JSON.stringify({ session: data.session, lang: document.documentElement.lang, ...fields }),
			credentials: "omit", cache: "no-store", redirect: "error",
		});
		const body = r.status === 204 ? {} : await r.json();
		return r.ok ? { ok: body } : { problem: { ...body, retry_after: Number(r.headers.get("Retry-After")) } };
	} catch {
		return { problem: { code: "unavailable", detail: busy.dataset.offline } };
	}
}

function again(seconds) {
	clearInterval(timer);
	const when = $("again-when"), button = document.querySelector("[data-do=resend] button");
	const until = Date.now() + seconds * 1000;
	const tell = () => {
		const left = Math.ceil((until - Date.now()) / 1000);
		button.disabled = left > 0;
		when.textContent = (left > 0
			? when.dataset.wait.replace("{time}", when.dataset.seconds.replace("{n}", left))
			: when.dataset.now) + " " + when.dataset.newest;
		if (left <= 0) clearInterval(timer);
	};
	tell();
	timer = setInterval(tell, 1000);
}

const tries = (n) => { $("tries").textContent = n > 0 ? $("tries").dataset.text.replace("{n}", n) : ""; };

function sent(a) {
	txn = a.txnId;
	$("sent").textContent = $("sent").dataset.text.replace("{mobile}", a.masked_mobile);
	tries(a.attempts_left);
	$("otp").value = "";
	show("code");
	again(a.resend_after);
	listen();
}

// listen takes the code out of the text message where the browser can (WebOTP):
// its last line names this host and the one around it.
async function listen() {
	if (!("OTPCredential" in window)) return;
	listening?.abort();
	listening = new AbortController();
	try {
		const c = await navigator.credentials.get({ otp: { transport: ["sms"] }, signal: listening.signal });
		if (c && c.code && !$("code").hidden) $("otp").value = c.code;
	} catch { /* typing works too */ }
}

const fields = { consent_required: "consent", mobile_invalid: "mobile_number", name_invalid: "full_name" };

const does = {
	async ask() {
		const { ok, problem } = await call("otp", {
			mobile_number: $("mobile_number").value,
			full_name: $("full_name").value,
			consent: $("tick").checked ? "Y" : "",
		});
		for (const name of Object.values(fields)) field(name, false);
		if (ok) return sent(ok);
		const name = fields[problem.code];
		complain(problem.detail);
		if (name) field(name, true).focus();
	},
	async resend() {
		const { ok, problem } = await call("otp", { txnId: txn });
		ok ? sent(ok) : wrong(problem);
	},
	async verify() {
		finish(await call("verify", { txnId: txn, otp: $("otp").value }));
	},
	async birth() {
		finish(await call("verify", { txnId: txn, birth_year: $("birth_year").value }));
	},
	restart() {
		txn = "";
		$("otp").value = $("birth_year").value = "";
		$("tick").checked = false;
		show("consent");
	},
	no() {
		show("over");
		post("cancel");
	},
	async withdraw() {
		const { ok, problem } = await call("withdraw", { pass });
		ok ? show("withdrawn") : complain(problem.detail);
	},
};

function wrong(problem) {
	if (typeof problem.attempts_left === "number") tries(problem.attempts_left);
	if (problem.code === "txn_unknown" || problem.code === "no_record" || problem.code === "ambiguous" || problem.code === "locked") {
		does.restart();
	}
	if (problem.code === "too_many_requests" && problem.retry_after) again(problem.retry_after);
	complain(problem.detail);
	if (!$("code").hidden) $("otp").select();
}

function finish({ ok, problem }) {
	if (!ok) {
		if (problem.need === "birth_year") return show("birth");
		if (!$("birth").hidden && problem.code === "bad_request") return complain(document.querySelector("[data-do=birth]").dataset.wrong);
		return wrong(problem);
	}
	listening?.abort();
	clearInterval(timer);
	pass = ok.pass;
	$("status").textContent = $("status").dataset[ok.vaccination_status];
	$("receipt").textContent = ok.consent;
	$("mobile_number").value = $("full_name").value = $("otp").value = $("birth_year").value = "";
	show("result");
	post("answer", {
		vaccination_status: ok.vaccination_status,
		assertion: ok.assertion,
		txnId: ok.txnId,
		consent: ok.consent,
		expires_at: ok.expires_at,
	});
}

document.addEventListener("submit", async (e) => {
	e.preventDefault();
	const what = e.target.dataset.do;
	if (working || !Object.hasOwn(does, what)) return;
	working = true;
	busy.textContent = busy.dataset.busy;
	complain("");
	try {
		await does[what]();
	} finally {
		working = false;
		busy.textContent = "";
	}
});

if (parent === window) {
	show("top");
	return;
}
new ResizeObserver(() => post("size", { height: Math.ceil($("all").getBoundingClientRect().height) })).observe($("all"));
show("consent", true);
post("ready");
})();
