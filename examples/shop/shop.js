"use strict";
// The ten lines a partner needs, for each traveller's button.
for (const button of document.querySelectorAll("button.frame")) {
	KYCVS.open({
		button,
		partner: button.dataset.partner,
		nonce: button.dataset.nonce,
		title: "Vaccination check",
		// The answer is for the server: a browser can be made to say anything.
		async onanswer({ nonce, assertion }) {
			const r = await fetch(button.dataset.answer, {
				method: "POST",
				headers: { "Content-Type": "application/json" },
				body: JSON.stringify({ nonce, assertion }),
			});
			if (r.ok) location.reload();
			else say(await r.text());
		},
		onerror({ code }) {
			if (code === "access_denied") say("The check was not made.");
			else location.assign(button.dataset.answer.replace(/answer$/, "redirect"));
		},
	});
}

function say(text) {
	let p = document.getElementById("trouble");
	if (!p) {
		p = document.createElement("p");
		p.id = "trouble";
		p.className = "trouble";
		p.setAttribute("role", "alert");
		document.querySelector("main").prepend(p);
	}
	p.textContent = text;
}
