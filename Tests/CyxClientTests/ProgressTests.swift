import CyxClient
import CyxCore
import Testing

@Suite struct ProgressTests {
    private func state(moved: UInt64, total: UInt64, rate: Double?) -> ProgressState {
        ProgressState(
            label: "disk.img", total: total, moved: moved, safe: moved / 2, elapsed: .seconds(1),
            rate: rate)
    }

    @Test func tellsBytesRateTimeLeftAndWhatIsSafe() {
        let half = state(moved: 512 << 20, total: 1 << 30, rate: Double(128 << 20))
        #expect(
            half.line(hasBar: true)
                == "disk.img ━━━━━━━━━━━━──────────── 512 MiB/1.00 GiB 50 %  128 MiB/s  ETA 0:04"
                + "  safe 256 MiB")
        #expect(
            half.line(hasBar: false)
                == "disk.img 512 MiB/1.00 GiB 50 %  128 MiB/s  ETA 0:04  safe 256 MiB")
    }

    @Test func leavesOutWhatIsNotKnownYet() {
        #expect(
            state(moved: 0, total: 10, rate: nil).line(hasBar: false)
                == "disk.img 0 B/10 B 0 %  safe 0 B")
        #expect(state(moved: 0, total: 10, rate: 0).remaining == nil)
    }

    @Test func anEmptyOrOverfullTransferIsComplete() {
        #expect(state(moved: 0, total: 0, rate: nil).line(hasBar: false).contains("100 %"))
        // Bytes of an attempt that is being repeated count twice for a moment.
        #expect(state(moved: 12, total: 10, rate: 5).line(hasBar: true).contains("100 %"))
    }

    @Test func writesTimesAsAClock() {
        #expect(ProgressState.clock(.milliseconds(3100)) == "0:04")
        #expect(ProgressState.clock(.seconds(750)) == "12:30")
        #expect(ProgressState.clock(.seconds(3723)) == "1:02:03")
    }

    @Test func theRateFollowsTheLastSeconds() {
        var window = RateWindow()
        func at(_ seconds: Int64) -> Instant { Instant(nanoseconds: seconds * 1_000_000_000) }
        #expect(window.add(0, at: at(0)) == nil)
        #expect(window.add(100, at: at(1)) == 100)
        for second in 2...20 {
            _ = window.add(100 + UInt64(second - 1) * 1000, at: at(Int64(second)))
        }
        #expect(window.add(20_100, at: at(21)) == 1000)
    }

    @Test func aMeterTakesBackFailedAttempts() {
        let meter = TransferMeter()
        meter.move(10)
        meter.takeBack(10)
        meter.move(7)
        meter.secure(7)
        #expect(meter.movedBytes == 7)
        #expect(meter.safeBytes == 7)
    }
}

@Suite struct PeerStatusTests {
    private let text = """
        {"peer":"ab","network":"cd","version":"0.1","health":"amber","sentence":"one copy",
        "peers":{"alive":3,"suspect":1,"dead":0,"draining":2},"zones":{"z0":2,"z1":1},"redundancy":"rs(1,0)",
        "survives":0,"tables":{"partitions":256,"full":256,"unavailable":0,"survives":0,
        "changing":2,"epoch":7,"lag_seconds":3},"data_survives":4,
        "segments":{"total":5,"full":5,"degraded":0,"at_risk":0,"lost":0,"repair_queue":0,
        "bytes_repaired":0},"store":{"allocated":10,"used":1,"free":9,"shards":5}}
        """

    @Test func readsEveryField() throws {
        let status = try PeerStatus(JSONValue(parsing: Array(text.utf8)))
        #expect(status.health == .amber)
        #expect(status.zones.map(\.name) == ["z0", "z1"])
        #expect(status.draining == 2)
        #expect(status.away == 0)
        #expect(status.segments.count == 7)
        #expect(status.changingPartitions == 2)
        #expect(status.epoch == 7)
        #expect(status.lagSeconds == 3)
        #expect(status.dataSurvives == 4)
        #expect(status.rowsSurvive == 0)
        #expect(status.isWhole(peers: 3))
        #expect(!status.isWhole(peers: 4))
    }

    @Test func namesTheFieldThatIsMissing() throws {
        let json = try JSONValue(parsing: Array(#"{"peer":"ab","network":"cd"}"#.utf8))
        let error = #expect(throws: ClientError.self) { try PeerStatus(json) }
        #expect(error?.message.contains("`version`") == true)
    }
}
