internal import CyxCore
internal import CyxCrypto
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

extension S3Gateway {
    func listBuckets(_ call: Call) async throws -> HTTPResponse {
        let prefix = call.query["prefix"] ?? ""
        var after = ""
        if let token = call.query["continuation-token"], !token.isEmpty {
            guard let bytes = Base64.decode(token),
                let name = String(validating: bytes, as: UTF8.self)
            else { throw S3Error.invalidArgument("The continuation token provided is incorrect") }
            after = name
        }
        let limit = try ListingQuery.number(call.query["max-buckets"], "max-buckets") ?? .max
        guard limit > 0 else {
            throw S3Error.invalidArgument("Argument max-buckets must be an integer from 1 to 10000")
        }
        let buckets = try await call.service.buckets()
            .filter { call.account?.reach?.shows(bucket: $0.name) ?? true }
            .filter { $0.name.hasPrefix(prefix) && isBefore(after, $0.name) }
            .sorted { isBefore($0.name, $1.name) }
        let shown = buckets.prefix(limit)
        return S3Gateway.xml(
            XMLWriter.document("ListAllMyBucketsResult") { xml in
                writeOwner(&xml, id: call.owner)
                if !prefix.isEmpty { xml.element("Prefix", prefix) }
                if let last = shown.last, shown.count < buckets.count {
                    xml.element("ContinuationToken", Base64.encode(Array(last.name.utf8)))
                }
                xml.element("Buckets") { xml in
                    for bucket in shown {
                        xml.element("Bucket") { xml in
                            xml.element("Name", bucket.name)
                            xml.element("CreationDate", bucket.created.rfc3339)
                        }
                    }
                }
            })
    }

    func createBucket(_ call: Call) async throws -> HTTPResponse {
        var call = call
        let document = try await call.body.collect(limit: XMLReader.maximumBytes)
        if !document.isEmpty {
            // Any region will do: a network has none.
            let root = try S3Gateway.parse(document)
            guard root.name == "CreateBucketConfiguration" else { throw S3Error.malformedXML }
        }
        let settings = try newSettings(call)
        do {
            _ = try await call.service.createBucket(call.bucket, settings: settings)
        } catch ObjectError.bucketExists {
            throw await existingBucketError(call)
        }
        return HTTPResponse(
            status: 200, headers: HTTPHeaders([("location", "/\(call.bucket)")]))
    }

    /// What the headers of a CreateBucket set: the ACL, whose the objects are, and whether versions
    /// can be locked.
    private func newSettings(_ call: Call) throws(S3Error) -> BucketSettings {
        let headers = call.headers
        var bucket = BucketSettings()
        let asked = headers["x-amz-object-ownership"]
        var ownership: ObjectOwnership? =
            settings.objectsBelongToBucketOwner ? .bucketOwnerEnforced : nil
        if let asked {
            guard let known = ObjectOwnership(rawValue: asked) else {
                throw .invalidArgument("Invalid x-amz-object-ownership header: \(asked)")
            }
            ownership = known
        }
        bucket.documents[DocumentName.ownership] = ownership?.document
        let list: AccessControlList?
        do throws(DocumentFault) {
            list = try RequestedACL { headers[$0] }?.list(
                owner: call.owner, bucketOwner: call.owner)
        } catch {
            throw S3Error(error)
        }
        if let list, list != .private(owner: call.owner) {
            guard ownership != .bucketOwnerEnforced else {
                throw S3Gateway.aclsWithEnforcedOwnership
            }
            bucket.documents[DocumentName.acl] = list.document { _ in nil }
        }
        if headers["x-amz-bucket-object-lock-enabled"]?.lowercased() == "true" {
            bucket.versioning = .enabled
            bucket.documents[DocumentName.objectLock] = ObjectLockConfiguration().document
        }
        return bucket
    }

    /// Says whether the name is the account's own or somebody else's.
    private func existingBucketError(_ call: Call) async -> S3Error {
        do {
            _ = try await call.service.bucket(call.bucket)
            return S3Error(.bucketExists)
        } catch ObjectError.noSuchBucket {
            return S3Error(
                "BucketAlreadyExists", 409,
                "Another account of this network has a bucket of that name; choose another")
        } catch {
            return S3Error(.bucketExists)
        }
    }

    func deleteBucket(_ call: Call) async throws -> HTTPResponse {
        owners.forget(call.bucket)
        try await call.service.deleteBucket(call.bucket)
        return HTTPResponse(status: 204)
    }

    func headBucket(_ call: Call) async throws -> HTTPResponse {
        _ = try await call.service.bucket(call.bucket)
        return HTTPResponse(
            status: 200, headers: HTTPHeaders([("x-amz-bucket-region", settings.region)]))
    }

    func getBucketLocation(_ call: Call) async throws -> HTTPResponse {
        _ = try await call.service.bucket(call.bucket)
        return S3Gateway.xml(XMLWriter.emptyDocument("LocationConstraint"))
    }

    // MARK: Shared

    static func parse(_ document: [UInt8]) throws(S3Error) -> XMLElement {
        do {
            return try XMLReader.parse(document)
        } catch {
            throw .malformedXML
        }
    }
}

/// By UTF-8 bytes, as S3 sorts names.
func isBefore(_ left: String, _ right: String) -> Bool {
    left.utf8.lexicographicallyPrecedes(right.utf8)
}
