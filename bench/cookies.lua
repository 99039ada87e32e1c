-- For wrk: sends one of many cookies with each request, at random, and prints
-- the figures of the run on one line.
--
--   wrk … -s cookies.lua URL -- COOKIES [ASSERTION]
--
-- COOKIES is a file with one Cookie field's value per line, all of one length.
-- It is mapped, not read: Lua's own memory would not hold a million of them.
-- ASSERTION, if given, is sent as a header, for a proxy that does not make one.

local ffi = require("ffi")
ffi.cdef [[
int open(const char *path, int flags, ...);
void *mmap(void *addr, size_t length, int prot, int flags, int fd, long offset);
]]

local threads = 0
function setup(thread)
	thread:set("seed", os.time() + 7919 * threads)
	threads = threads + 1
end

local cookies, length, count, before, after

function init(args)
	local file = assert(io.open(args[1], "rb"))
	length = #assert(file:read("*l"), "the file of cookies is empty")
	local size = file:seek("end")
	file:close()
	count = size / (length + 1)
	assert(count == math.floor(count), "the cookies are not all of one length")

	local PROT_READ, MAP_PRIVATE, O_RDONLY = 1, 2, 0
	local address = ffi.C.mmap(nil, size, PROT_READ, MAP_PRIVATE, ffi.C.open(args[1], O_RDONLY), 0)
	assert(tonumber(ffi.cast("intptr_t", address)) ~= -1, "the file of cookies cannot be mapped")
	cookies = ffi.cast("const char *", address)

	local here = "<cookie>"
	local headers = { Host = wrk.headers["Host"], Cookie = here }
	if args[2] and args[2] ~= "" then
		headers["Kycvs-Assertion"] = args[2]
	end
	local request = wrk.format("GET", nil, headers)
	local from, to = request:find(here, 1, true)
	before, after = request:sub(1, from - 1), request:sub(to + 1)
	math.randomseed(seed)
end

function request()
	local i = math.random(0, count - 1)
	return before .. ffi.string(cookies + i * (length + 1), length) .. after
end

function done(summary, latency)
	local e = summary.errors
	print(string.format("RESULT %d %d %d %d %d", summary.requests, summary.duration,
		latency:percentile(50), latency:percentile(99),
		e.connect + e.read + e.write + e.status + e.timeout))
end
