import CyxCore
import CyxObjects
import Synchronization
import Testing

@testable import CyxGateway

@Suite struct BucketOwnersTests {
    private func time(_ seconds: Int) -> Instant {
        Instant(nanoseconds: 0) + .seconds(seconds)
    }

    @Test func ownersAreRememberedBriefly() {
        let owners = BucketOwners()
        owners.remember("a", of: "b", time(10))
        #expect(owners.owner(of: "b", time(14)) == "a")
        #expect(owners.owner(of: "b", time(15)) == nil)
        #expect(owners.owner(of: "c", time(10)) == nil)
        owners.remember("d", of: "b", time(20))
        #expect(owners.owner(of: "b", time(20)) == "d")
        owners.forget("b")
        #expect(owners.owner(of: "b", time(20)) == nil)
    }

    @Test func noMoreThanItsCapacityIsRemembered() {
        let owners = BucketOwners()
        for index in 0..<3 * BucketOwners.capacity {
            owners.remember("a", of: "b\(index)", time(1))
            #expect(owners.owner(of: "b\(index)", time(1)) == "a")
        }
        let known = (0..<3 * BucketOwners.capacity).count {
            owners.owner(of: "b\($0)", time(1)) != nil
        }
        #expect(known == BucketOwners.capacity)
    }

    /// Of a request of somebody else, or of nobody.
    @Test func whoseABucketIsIsReadOnce() async throws {
        try await GatewayHarness.run { harness in
            let (objects, others) = (harness.objects, harness.others)
            _ = try await objects.createBucket("photos", settings: BucketSettings())
            for _ in 0..<5 {
                let found = try await harness.gateway.bucket("photos", askedOf: others)
                #expect(found.owner.id == objects.account.hex)
            }
            #expect(others.ownerReads.load(ordering: .relaxed) == 1)
            // Another gateway deletes it, and another account takes the name.
            try await objects.deleteBucket("photos")
            _ = try await others.createBucket("photos", settings: BucketSettings())
            let found = try await harness.gateway.bucket("photos", askedOf: objects)
            #expect(found.owner.id == others.account.hex)
            try await others.deleteBucket("photos")
            await #expect(throws: ObjectError.noSuchBucket) {
                try await harness.gateway.bucket("photos", askedOf: objects)
            }
        }
    }
}
