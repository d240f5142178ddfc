import CyxCore
import Testing

@testable import CyxObjects

@Suite struct ShareTests {
    private func share(_ number: Int, created: Int64 = 1, expires: Int64? = nil) -> Share {
        var share = Share(
            id: "link-\(number)", token: Digest(1, 2, 3, UInt64(number)), bucket: "photos",
            path: "in/ü", created: WallTime(milliseconds: created))
        share.expires = expires.map { WallTime(milliseconds: $0) }
        return share
    }

    @Test func linksAreKeptAsTheyWereMade() throws {
        var full = share(1, expires: 9)
        full.isFolder = true
        full.isViewOnly = true
        full.password = Share.Password(salt: [1], hash: [2, 3])
        full.accessKey = "CYK1"
        full.revoked = WallTime(milliseconds: 7)
        for share in [share(2), full] {
            let bytes = ShareRow(share).protobufBytes()
            #expect(Share(try ShareRow(protobuf: bytes)) == share)
        }
        #expect(Share(ShareRow(id: "x", token: [1])) == nil)
    }

    @Test func aLinkEndsByItsTimeOrByItsOwner() {
        var share = share(1, expires: 9)
        #expect(!share.hasEnded(by: WallTime(milliseconds: 8)))
        #expect(share.hasEnded(by: WallTime(milliseconds: 9)))
        share.revoked = WallTime(milliseconds: 5)
        #expect(share.end == share.revoked)
        share.expires = nil
        #expect(share.end == share.revoked)
        #expect(self.share(1).end == nil)
    }

    @Test func aFullListDropsWhatEndedFirstAndElseTakesNoMore() throws {
        var row = SharesRow()
        let now = WallTime(milliseconds: 1000)
        try row.add(ShareRow(share(1, expires: 500)), now: now)
        try row.add(ShareRow(share(2, expires: 400)), now: now)
        for number in 3...SharesRow.sharesMax { try row.add(ShareRow(share(number)), now: now) }
        try row.add(ShareRow(share(1001)), now: now)
        #expect(!row.shares.contains { $0.id == "link-2" })
        try row.add(ShareRow(share(1002)), now: now)
        #expect(!row.shares.contains { $0.id == "link-1" })
        #expect(row.shares.count == SharesRow.sharesMax)
        #expect(throws: ObjectError.tooManyShares) {
            try row.add(ShareRow(share(1003)), now: now)
        }
    }

    @Test func linksThatEndedLongAgoAreForgotten() throws {
        var row = SharesRow()
        try row.add(ShareRow(share(1, expires: 500)), now: WallTime(milliseconds: 1))
        let last = 500 + SharesRow.endedMilliseconds
        try row.add(ShareRow(share(2)), now: WallTime(milliseconds: last - 1))
        #expect(row.shares.count == 2)
        try row.add(ShareRow(share(3)), now: WallTime(milliseconds: last))
        #expect(row.shares.map(\.id) == ["link-2", "link-3"])
    }

    @Test func linksAreFoundByTheirTokensUntilRevoked() throws {
        let world = try ObjectWorld(storers: 3)
        let (first, second) = (share(1, created: 1), share(2, created: 2))
        try world.perform { gateway in
            try await gateway.createShare(first)
            try await gateway.createShare(second)
            #expect(try await gateway.share(token: first.token) == first)
            #expect(try await gateway.share(token: Digest(9, 9, 9, 9)) == nil)
            #expect(try await gateway.shares() == [second, first])
            try await gateway.revokeShare("link-1")
            #expect(try await gateway.share(token: first.token)?.revoked != nil)
            #expect(try await gateway.share(token: second.token)?.revoked == nil)
            for absent in ["link-1", "link-3"] {
                await #expect(throws: ObjectError.noSuchShare) {
                    try await gateway.revokeShare(absent)
                }
            }
        }
    }
}
