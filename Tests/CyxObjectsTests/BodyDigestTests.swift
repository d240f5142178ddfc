import CyxCore
import CyxCrypto
import CyxObjects
import Testing

/// ETags of bodies whose MD5s are computed side by side.
@Suite struct BodyDigestTests {
    /// More bodies than there are lanes, of lengths around the chunk and beyond what may wait.
    @Test func manyBodiesAtOnceEachGetTheirOwnMD5() throws {
        let world = try ObjectWorld(storers: 3)
        try world.createBucket()
        let sizes = (0..<20).map {
            [5000, 1 << 20, (1 << 20) + 1, 3_333_333, 9 << 20][$0 % 5] + $0
        }
        let etags = try world.perform { gateway in
            try await withThrowingTaskGroup(of: (Int, String).self) { group in
                for (number, size) in sizes.enumerated() {
                    group.addTask {
                        let body = noise(size)
                        let info = try await gateway.put(
                            "key-\(number)", in: "bucket", options: PutOptions(),
                            body: Pieces(body, of: 300_000))
                        return (number, info.etag)
                    }
                }
                return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
            }
        }
        for (number, size) in sizes.enumerated() {
            #expect(etags[number] == Hex.encode(MD5.hash(noise(size))))
        }
    }

    @Test func aBodyThatFailsHoldsNobodyUp() throws {
        let world = try ObjectWorld(storers: 3)
        try world.createBucket()
        #expect(throws: (any Error).self) {
            try world.perform { gateway in
                try await gateway.put(
                    "broken", in: "bucket", options: PutOptions(),
                    body: Pieces(noise(5 << 20), of: 1 << 20, failingAfter: 3 << 20))
            }
        }
        let bytes = noise(6 << 20)
        #expect(try world.put("key", bytes).etag == Hex.encode(MD5.hash(bytes)))
    }
}
