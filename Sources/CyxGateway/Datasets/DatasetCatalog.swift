internal import CyxCore
internal import CyxObjects

/// The data sets of one account, in a bucket of its own: an empty object each, by CID, whose
/// attribute says what there is to say. So every gateway of the account sees at once what another
/// has written, any number of them can be listed, and changes are made inside a commit.
struct DatasetCatalog: Sendable {
    /// No client creates buckets of such names, so that nobody has another account's.
    static let bucketPrefix = "cyx-datasets-"
    /// Where the bytes are that were not put elsewhere.
    static let dataPrefix = "data/"
    private static let entryPrefix = "cid/"
    private static let attribute = "dataset"
    /// Entries that are read at a time: each may have `Dataset.encodedBytesMax`.
    static let pageMax = 64

    let service: any ObjectService

    /// The account's name in hexadecimal, cut to what a name of a bucket holds: 160 bits of it.
    static func bucket(of account: AccountID) -> String { bucketPrefix + account.hex.prefix(40) }

    var bucket: String { DatasetCatalog.bucket(of: service.account) }

    private static func key(_ cid: String) -> String { entryPrefix + cid }

    /// Makes the bucket if there is none.
    @inline(never)
    func prepare() async throws {
        do {
            _ = try await service.bucket(bucket)
            return
        } catch ObjectError.noSuchBucket {}
        do { _ = try await service.createBucket(bucket) } catch ObjectError.bucketExists {
            // Another gateway was faster; where it is not the account's, this says so.
            _ = try await service.bucket(bucket)
        }
    }

    /// Nil where the account has none of that CID.
    @inline(never)
    func find(_ cid: String) async throws -> Dataset? {
        do {
            return DatasetCatalog.dataset(
                in: try await service.head(DatasetCatalog.key(cid), in: bucket))
        } catch ObjectError.noSuchBucket, ObjectError.noSuchKey {
            return nil
        } catch ObjectError.deleteMarker {
            return nil
        }
    }

    /// An object that somebody copied or wrote there by other means says nothing.
    private static func dataset(in info: ObjectInfo) -> Dataset? {
        guard let bytes = info.attributes[attribute], let dataset = Dataset(encoded: bytes),
            key(dataset.cid) == info.key
        else { return nil }
        return dataset
    }

    /// Throws `.preconditionFailed` where there is one of that CID.
    @inline(never)
    func add(_ dataset: Dataset) async throws {
        var options = PutOptions()
        options.attributes = [DatasetCatalog.attribute: dataset.encoded]
        options.condition = .absent
        options.size = 0
        _ = try await service.put(
            DatasetCatalog.key(dataset.cid), in: bucket, options: options, body: FixedBytes([]))
    }

    /// Changes what is said of one; throws what `change` throws, and `.noSuchKey` where there is none.
    @inline(never)
    func update(
        _ cid: String, _ change: @escaping @Sendable (inout Dataset) throws -> Void
    ) async throws -> Dataset {
        let info = try await service.updateAttributes(
            of: DatasetCatalog.key(cid), version: nil, in: bucket
        ) { attributes in
            guard let bytes = attributes[DatasetCatalog.attribute],
                var dataset = Dataset(encoded: bytes)
            else { throw ObjectError.noSuchKey }
            try change(&dataset)
            attributes[DatasetCatalog.attribute] = dataset.encoded
        }
        guard let dataset = DatasetCatalog.dataset(in: info) else { throw ObjectError.noSuchKey }
        return dataset
    }

    @inline(never)
    func remove(_ cid: String) async throws {
        try await service.delete(DatasetCatalog.key(cid), in: bucket)
    }

    /// At most `limit` data sets in the order of their CIDs, from behind `cid` on, and where the next
    /// page begins; nil behind the last.
    @inline(never)
    func page(
        after cid: String, limit: Int
    ) async throws -> (datasets: [Dataset], next: String?) {
        var request = ListRequest()
        request.prefix = DatasetCatalog.entryPrefix
        request.startAfter = DatasetCatalog.key(cid)
        request.limit = min(limit, DatasetCatalog.pageMax)
        do {
            let page = try await service.list(bucket, request)
            return (
                page.objects.compactMap { DatasetCatalog.dataset(in: $0) },
                page.nextMarker.map { $0.droppingPrefix(DatasetCatalog.entryPrefix) }
            )
        } catch ObjectError.noSuchBucket {
            return ([], nil)
        }
    }
}
