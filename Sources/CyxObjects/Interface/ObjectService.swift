package import CyxCore

/// Objects in buckets of one account. Errors that a body's source throws while a put reads it are
/// rethrown as they are, and nothing becomes visible.
package protocol ObjectService: AnyObject, Sendable {
    nonisolated var account: AccountID { get }

    /// `.bucketExists` whoever has it, this account or another: `owner(of:)` tells which.
    func createBucket(_ name: String, settings: BucketSettings) async throws -> BucketInfo
    func deleteBucket(_ name: String) async throws
    func bucket(_ name: String) async throws -> BucketInfo
    /// With the settings that buckets begin with, not their own.
    func buckets() async throws -> [BucketInfo]
    /// Whose bucket has that name, this account's or another's; nil: nobody's.
    func owner(of bucket: String) async throws -> AccountID?
    /// Changes a bucket's settings. `change` may be called more than once; what it throws is thrown,
    /// and nothing changes.
    func updateBucket(
        _ name: String, _ change: @escaping @Sendable (inout BucketSettings) throws -> Void
    ) async throws -> BucketInfo

    func put(
        _ key: String, in bucket: String, options: PutOptions, body: any ByteSource
    ) async throws -> ObjectInfo
    /// `version`: see `ObjectInfo.versionID`; nil: the current one.
    func head(_ key: String, version: String?, in bucket: String) async throws -> ObjectInfo
    func get(
        _ key: String, version: String?, in bucket: String, range: ByteRange
    ) async throws -> ObjectBody
    /// Without a version the key's object goes; a bucket that keeps versions gets a delete marker
    /// instead. With one, that version goes for good. Succeeds also where there is nothing, as S3
    /// does.
    func delete(
        _ key: String, version: String?, in bucket: String, options: DeleteOptions
    ) async throws -> DeleteOutcome
    /// Changes the attributes of a version, as `updateBucket` does a bucket's settings.
    func updateAttributes(
        of key: String, version: String?, in bucket: String,
        _ change: @escaping @Sendable (inout [String: [UInt8]]) throws -> Void
    ) async throws -> ObjectInfo
    func listVersions(
        _ bucket: String, _ request: VersionListRequest
    ) async throws -> VersionListing
    func list(_ bucket: String, _ request: ListRequest) async throws -> ObjectListing

    func createUpload(_ key: String, in bucket: String, options: PutOptions) async throws -> String
    /// An upload that can still be completed.
    func upload(_ id: String, key: String, in bucket: String) async throws -> UploadInfo
    func putPart(
        _ number: Int, upload: String, key: String, in bucket: String, options: PartOptions,
        body: any ByteSource
    ) async throws -> PartInfo
    func parts(upload: String, key: String, in bucket: String) async throws -> [PartInfo]
    func completeUpload(
        _ upload: String, key: String, in bucket: String,
        parts: [(number: Int, etag: String)], options: CompletionOptions
    ) async throws -> ObjectInfo
    func abortUpload(_ upload: String, key: String, in bucket: String) async throws
    func uploads(in bucket: String) async throws -> [UploadInfo]

    /// Keeps the version that the key has now, whatever becomes of the key, until `unpin` or for
    /// `span`. Nothing is copied: the pin counts as one that needs the version's segments.
    func pin(_ key: String, in bucket: String, for span: Duration?) async throws -> PinInfo
    func pins(after id: String?) async throws -> PinListing
    func head(pin id: String) async throws -> ObjectInfo
    func get(pin id: String, range: ByteRange) async throws -> ObjectBody
    func unpin(_ id: String) async throws
}

extension ObjectService {
    package func createBucket(_ name: String) async throws -> BucketInfo {
        try await createBucket(name, settings: BucketSettings())
    }

    package func head(_ key: String, in bucket: String) async throws -> ObjectInfo {
        try await head(key, version: nil, in: bucket)
    }

    package func get(
        _ key: String, in bucket: String, range: ByteRange
    ) async throws -> ObjectBody {
        try await get(key, version: nil, in: bucket, range: range)
    }

    package func delete(_ key: String, in bucket: String) async throws {
        _ = try await delete(key, version: nil, in: bucket, options: DeleteOptions())
    }

    package func putPart(
        _ number: Int, upload: String, key: String, in bucket: String, body: any ByteSource
    ) async throws -> PartInfo {
        try await putPart(
            number, upload: upload, key: key, in: bucket, options: PartOptions(), body: body)
    }

    package func completeUpload(
        _ upload: String, key: String, in bucket: String,
        parts: [(number: Int, etag: String)]
    ) async throws -> ObjectInfo {
        try await completeUpload(
            upload, key: key, in: bucket, parts: parts, options: CompletionOptions())
    }
}
