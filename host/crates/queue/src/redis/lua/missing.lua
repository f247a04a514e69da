-- Which of these jobs will not be served.
local missing = {}
for _, id in ipairs({ unpack(ARGV, 3) }) do
  if not kept(id) then missing[#missing + 1] = id end
end
return missing
