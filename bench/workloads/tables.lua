-- The lua5.4 workload: tables of tables, string building, closures, coroutines, a word count.
--
--	lua5.4 tables.lua ROUNDS
--
-- What it prints depends on ROUNDS alone: nothing follows the order of pairs(), which Lua draws
-- anew in each process.

local state = 12345

local function below(limit)
	state = (state * 1103515245 + 12345) % 2147483648
	return (state >> 8) % limit
end

local function checksum(text)
	local sum = 7
	for i = 1, #text, 5 do
		sum = (sum * 31 + text:byte(i)) % 2147483647
	end
	return sum
end

local function records(count)
	local list = {}
	for i = 1, count do
		list[i] = {
			id = i,
			name = "record" .. below(3000),
			values = { below(10), below(100), below(1000) },
			tags = { [below(50)] = true, [below(50) + 50] = true },
		}
	end
	table.sort(list, function(a, b)
		if a.name ~= b.name then
			return a.name < b.name
		end
		return a.id < b.id
	end)
	return list
end

local function words(count)
	local parts, seen, order = {}, {}, {}
	for i = 1, count do
		parts[i] = string.format("w%x", below(4000)):rep(1 + below(3), "-")
	end
	local text = table.concat(parts, " ")
	for word in text:gmatch("%S+") do
		if not seen[word] then
			seen[word] = 0
			order[#order + 1] = word
		end
		seen[word] = seen[word] + 1
	end
	table.sort(order)
	for i, word in ipairs(order) do
		order[i] = word:upper() .. "=" .. seen[word]
	end
	return table.concat(order, ";")
end

local function counters(count)
	local made, total = {}, 0
	for i = 1, count do
		local held = { i }
		made[i] = function(step)
			held[1] = held[1] + step
			return held[1]
		end
	end
	for i = 1, count do
		total = total + made[i](below(9)) + made[count - i + 1](1)
	end
	return total
end

-- A queue of coroutines that each hand on a string.
local function pipeline(count)
	local line, joined = {}, {}
	for i = 1, count do
		line[i] = coroutine.wrap(function()
			for step = 1, 3 do
				coroutine.yield(("%d:%d"):format(i, step))
			end
			return "end"
		end)
	end
	for _ = 1, 4 do
		for i = 1, count do
			joined[#joined + 1] = line[i]()
		end
	end
	return checksum(table.concat(joined, ","))
end

local kept = {}		-- what lives longer than a round, replaced in turn

for round = 1, tonumber(arg[1]) do
	local list = records(20000)
	kept[round % 3] = list
	print(round, checksum(list[1].name .. list[#list].name), checksum(words(30000)),
		counters(20000), pipeline(2000))
end
