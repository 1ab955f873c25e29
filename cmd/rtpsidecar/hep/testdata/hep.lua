-- HEP version 3 for tshark: tshark -X lua_script:hep.lua. Payloads of RTCP go to the JSON dissector.
local hep = Proto("hep3", "HEP3")
local f = hep.fields
f.length = ProtoField.uint16("hep3.length", "Length")
local chunks = {
  [1] = ProtoField.uint8("hep3.family", "Address family"),
  [2] = ProtoField.uint8("hep3.transport", "Transport"),
  [3] = ProtoField.ipv4("hep3.src", "Source"),
  [4] = ProtoField.ipv4("hep3.dst", "Destination"),
  [5] = ProtoField.ipv6("hep3.src6", "Source"),
  [6] = ProtoField.ipv6("hep3.dst6", "Destination"),
  [7] = ProtoField.uint16("hep3.srcport", "Source port"),
  [8] = ProtoField.uint16("hep3.dstport", "Destination port"),
  [9] = ProtoField.uint32("hep3.seconds", "Seconds"),
  [10] = ProtoField.uint32("hep3.micros", "Microseconds"),
  [11] = ProtoField.uint8("hep3.protocol", "Protocol type"),
  [12] = ProtoField.uint32("hep3.agent", "Capture agent"),
  [15] = ProtoField.string("hep3.payload", "Payload"),
  [17] = ProtoField.string("hep3.correlation", "Correlation id"),
}
for i, field in pairs(chunks) do f["chunk" .. i] = field end

function hep.dissector(buffer, pinfo, tree)
  if buffer:len() < 6 or buffer(0, 4):string() ~= "HEP3" or buffer(4, 2):uint() ~= buffer:len() then return 0 end
  pinfo.cols.protocol = "HEP3"
  local sub = tree:add(hep, buffer())
  sub:add(f.length, buffer(4, 2))
  local at, protocol = 6, 0
  while at + 6 <= buffer:len() do
    local kind, length = buffer(at + 2, 2):uint(), buffer(at + 4, 2):uint()
    if length < 6 or at + length > buffer:len() then return at end
    if chunks[kind] and length > 6 then
      local value = buffer(at + 6, length - 6)
      sub:add(chunks[kind], value)
      if kind == 11 then protocol = value:uint() end
      if kind == 15 and protocol == 5 then Dissector.get("json"):call(value:tvb(), pinfo, tree) end
    end
    at = at + length
  end
  return at
end

DissectorTable.get("udp.port"):add(9060, hep)
