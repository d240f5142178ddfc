import CyxCore
import Testing

@testable import CyxTransport

/// Traces as viewers read them: a JSON text sequence of the main schema's version 0.3.
@Suite struct QlogTests {
    private final class Discarding: QlogSink {
        func write(_ file: String, _ records: [UInt8], isLast: Bool) {}
    }

    private struct Trace {
        var header: JSONValue
        var events: [(time: Double, name: String, data: JSONValue)] = []

        /// Throws where a record is not what RFC 7464 and the schema want.
        init(_ bytes: [UInt8]) throws {
            try #require(bytes.first == 0x1E && bytes.last == 0x0A)
            let records = bytes.split(separator: 0x1E)
            header = try JSONValue(parsing: Array(try #require(records.first)))
            for record in records.dropFirst() {
                let event = try JSONValue(parsing: Array(record))
                guard case .number(let time)? = event["time"], let name = event["name"]?.text,
                    let data = event["data"], case .object = data
                else {
                    Issue.record("\(event.encoded) is no event")
                    continue
                }
                events.append((time, name, data))
            }
        }

        func numbers(_ name: String) -> [Int64] {
            events.filter { $0.name == name }.compactMap {
                $0.data["header"]?["packet_number"]?.integer
            }
        }

        func data(_ name: String) -> [JSONValue] {
            events.filter { $0.name == name }.map(\.data)
        }

        func frames(_ name: String) -> [JSONValue] {
            data(name).flatMap { data -> [JSONValue] in
                if case .array(let frames)? = data["frames"] { frames } else { [] }
            }
        }
    }

    /// Two megabytes over a link that loses some, with keys updated, then silence until the end.
    private func traces() throws -> [Trace] {
        var limits = TransportLimits()
        limits.packetsPerKey = 200
        var pair = Pair(seed: 3, limits: limits) { $0.qlog = Discarding() }
        pair.introduce()
        pair.faults.loss = 20
        pair.faults.rate = 20_000_000
        for _ in 0..<4 {
            let body = pattern(500_000)
            #expect(pair.result(0, pair.call(0, 1, body, timeout: .seconds(50))) == .success(body))
        }
        pair.run(.seconds(100))
        return try pair.nodes.indices.map { node in
            var bytes: [UInt8] = []
            var endings = 0
            pair.nodes[node].machine.endpoint.drainTraces { batch in
                bytes += batch.records
                if batch.isLast { endings += 1 }
                #expect(batch.file.hasSuffix(node == 0 ? "_client.sqlog" : "_server.sqlog"))
            }
            #expect(endings == 1)
            return try Trace(bytes)
        }
    }

    @Test func tracesHaveWhatTheSchemaRequires() throws {
        for (trace, side) in zip(try traces(), ["client", "server"]) {
            #expect(trace.header["qlog_version"]?.text == "0.3")
            #expect(trace.header["qlog_format"]?.text == "JSON-SEQ")
            #expect(trace.header["trace"]?["vantage_point"]?["type"]?.text == side)
            let common = trace.header["trace"]?["common_fields"]
            #expect(common?["time_format"]?.text == "relative")
            // The responder's began when the first message had crossed the link.
            let offset = (common?["reference_time"]?.integer ?? 0) - 1_700_000_000_000
            #expect(side == "client" ? offset == 0 : (1...10).contains(offset))
            #expect(common?["ODCID"]?.text?.count == 16)
            let times = trace.events.map(\.time)
            #expect(times == times.sorted())
            #expect(times.allSatisfy { $0 >= 0 })
            #expect(trace.events.first?.name == "connectivity:connection_started")
            // All that may follow is the packet that says so.
            let end = trace.events.lastIndex { $0.name == "connectivity:connection_closed" }
            #expect(trace.events.count - (end ?? 0) <= 2)
            let names = Set(trace.events.map(\.name))
            for name in [
                "transport:packet_sent", "transport:packet_received", "recovery:metrics_updated",
                "recovery:congestion_state_updated", "security:key_updated",
                "connectivity:mtu_updated", "connectivity:path_assigned",
            ] { #expect(names.contains(name), "\(name)") }
            for name in ["transport:packet_sent", "transport:packet_received"] {
                for data in trace.data(name) {
                    #expect(data["header"]?["packet_type"]?.text == "1RTT")
                    #expect((data["raw"]?["length"]?.integer ?? 0) > 20)
                }
                #expect(trace.frames(name).allSatisfy { $0["frame_type"]?.text != "unknown" })
            }
            for data in trace.data("recovery:metrics_updated") {
                #expect((data["congestion_window"]?.integer ?? 0) > 0)
                #expect((data["bytes_in_flight"]?.integer ?? -1) >= 0)
            }
        }
    }

    @Test func bothEndsTellTheSameStory() throws {
        let traces = try traces()
        let sent = traces[0].numbers("transport:packet_sent")
        let lost = traces[0].numbers("recovery:packet_lost")
        let received = Set(traces[1].numbers("transport:packet_received"))
        #expect(sent.count > 1000)
        #expect(zip(sent, sent.dropFirst()).allSatisfy { $0 < $1 })
        #expect(lost.count > 5)
        #expect(Set(lost).isSubset(of: Set(sent)))
        #expect(received.isSubset(of: Set(sent)))
        #expect(received.count < sent.count)
        // What is acknowledged was received.
        for frame in traces[1].frames("transport:packet_sent")
        where frame["frame_type"]?.text == "ack" {
            guard case .array(let ranges)? = frame["acked_ranges"] else {
                Issue.record("an ACK without ranges")
                continue
            }
            for case .array(let ends) in ranges {
                let numbers = try #require(ends[0].integer)...(try #require(ends[1].integer))
                #expect(received.isSuperset(of: numbers))
            }
        }
        // Every byte of the four requests, each with its header word, is in a frame.
        var highest: [Int64: Int64] = [:]
        for frame in traces[0].frames("transport:packet_sent")
        where frame["frame_type"]?.text == "stream" {
            let id = try #require(frame["stream_id"]?.integer)
            let offset = try #require(frame["offset"]?.integer)
            let length = try #require(frame["length"]?.integer)
            highest[id] = max(highest[id] ?? 0, offset + length)
        }
        #expect(highest == [0: 500_008, 4: 500_008, 8: 500_008, 12: 500_008])
    }

    @Test func nobodyWhoDidNotAskIsTraced() throws {
        var pair = Pair()
        pair.introduce()
        #expect(pair.result(0, pair.call(0, 1, [1])) == .success([1]))
        for node in pair.nodes.indices {
            let slots = pair.nodes[node].machine.endpoint.slots
            #expect(slots.allSatisfy { $0.connection?.trace == nil })
            pair.nodes[node].machine.endpoint.drainTraces { _ in Issue.record("a trace") }
        }
    }

    @Test func whatNobodyTakesIsBounded() throws {
        let trace = QlogTrace(
            firstID: ConnectionID(1), role: .initiator, wall: WallTime(milliseconds: 0), now: 0)
        let count = QlogTrace.pendingMax / 60
        for number in 0..<count { trace.lost(UInt64(number), now: Int64(number)) }
        let first = try #require(trace.take(isLast: false))
        #expect(first.records.count < QlogTrace.pendingMax + 4096)
        trace.lost(1, now: 1)
        let next = try #require(trace.take(isLast: true))
        let kept = first.records.count { $0 == 0x1E } - 1
        #expect(
            String(decoding: next.records, as: UTF8.self).contains(
                "\"omitted_events\":\(count - kept)"))
    }
}
