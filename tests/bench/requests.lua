-- Requests for wrk, formatted before the clock runs. BENCH_REQUESTS names a file of one request a
-- line: METHOD PATH [BODY]; a body is a form.
local requests, last, next_one = {}, 0, 0

function init()
  for line in io.lines(os.getenv("BENCH_REQUESTS")) do
    local method, path, body = line:match("^(%S+) (%S+) ?(.*)$")
    local headers = {}
    if body == "" then
      body = nil
    else
      headers["Content-Type"] = "application/x-www-form-urlencoded"
    end
    last = last + 1
    requests[last] = wrk.format(method, path, headers, body)
  end
end

function request()
  next_one = next_one % last + 1
  return requests[next_one]
end
