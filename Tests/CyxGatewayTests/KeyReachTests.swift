import CyxObjects
import Testing

@testable import CyxGateway

@Suite struct KeyReachTests {
    private func reach(
        _ bucket: String? = nil, prefix: String = "", _ rights: AccessKey.Rights = .all
    ) -> KeyReach {
        var limits = AccessKeyLimits()
        (limits.bucket, limits.prefix, limits.rights) = (bucket, prefix, rights)
        return KeyReach(limits: limits)
    }

    private func allows(
        _ reach: KeyReach, _ need: AccessNeed, _ bucket: String = "b", _ key: String = "",
        listed: String? = nil
    ) -> Bool {
        reach.allows(need, bucket: bucket, key: key, listed: listed)
    }

    @Test func aKeyOfOneBucketReachesNoOther() {
        let key = reach("b")
        #expect(allows(key, .object("GetObject"), "b", "k"))
        #expect(allows(key, .write("PutObject"), "b", "k"))
        #expect(!allows(key, .object("GetObject"), "other", "k"))
        #expect(key.shows(bucket: "b") && !key.shows(bucket: "other"))
    }

    @Test func aReadingKeyChangesNothingAndAWritingOneReadsNothing() {
        let reads = reach(nil, .read)
        #expect(allows(reads, .object("GetObjectVersion"), "b", "k"))
        #expect(allows(reads, .list, listed: ""))
        for action in ["PutObject", "DeleteObject", "AbortMultipartUpload"] {
            #expect(!allows(reads, .write(action), "b", "k"))
        }
        let writes = reach(nil, .write)
        #expect(allows(writes, .write("PutObject"), "b", "k"))
        #expect(allows(writes, .write("ListMultipartUploadParts"), "b", "k"))
        #expect(!allows(writes, .object("GetObject"), "b", "k"))
        #expect(!allows(writes, .list, listed: ""))
        #expect(reads.reachesAccount(lists: true) && !writes.reachesAccount(lists: true))
    }

    @Test func aPrefixHoldsForObjectsAndForListings() {
        let key = reach("b", prefix: "logs/")
        #expect(allows(key, .object("GetObject"), "b", "logs/1"))
        #expect(!allows(key, .object("GetObject"), "b", "log"))
        #expect(allows(key, .list, listed: "logs/2026"))
        #expect(!allows(key, .list, listed: ""))
        // Whether the bucket is there at all may be asked.
        #expect(allows(key, .list, listed: nil))
    }

    @Test func noLimitedKeyChangesBucketsOrWhoMayRead() {
        for key in [reach(), reach("b")] {
            for action in ["DeleteBucket", "PutBucketPolicy", "PutBucketVersioning"] {
                #expect(!allows(key, .bucket(action)))
            }
            #expect(!allows(key, .object("PutObjectAcl"), "b", "k"))
            #expect(!allows(key, .object("BypassGovernanceRetention"), "b", "k"))
            #expect(!key.reachesAccount(lists: false))
        }
    }
}
