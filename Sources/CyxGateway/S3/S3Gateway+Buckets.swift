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
        let wanted = try ListingQuery.number(call.query["max-buckets"], "max-buckets")
        guard wanted.map(S3Gateway.bucketsPerPage.contains) ?? true else {
            throw S3Error.invalidArgument("Argument max-buckets must be an integer from 1 to 10000")
        }
        var buckets = try await call.service.buckets()
            .filter { call.account?.reach?.shows(bucket: $0.name) ?? true }
            .filter { $0.name.hasPrefix(prefix) && isBefore(after, $0.name) }
            .sorted { isBefore($0.name, $1.name) }
        var regions: [String: String] = [:]
        // Told to who asks for less than everything, as S3 does; each is a row to be read.
        if let region = call.query["bucket-region"] {
            regions = try await self.regions(of: buckets, call)
            buckets = buckets.filter { regions[$0.name] == region }
        }
        let shown = buckets.prefix(wanted ?? .max)
        if regions.isEmpty, S3Gateway.bucketParameters.contains(where: { call.query.has($0) }) {
            regions = try await self.regions(of: Array(shown), call)
        }
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
                            if let region = regions[bucket.name] {
                                xml.element("BucketRegion", region)
                            }
                            xml.element("CreationDate", bucket.created.rfc3339)
                        }
                    }
                }
            })
    }

    private static let bucketsPerPage = 1...10_000
    private static let bucketParameters = ["prefix", "max-buckets", "continuation-token"]

    /// By the buckets' names, without those that were deleted meanwhile.
    private func regions(
        of buckets: [BucketInfo], _ call: Call
    ) async throws -> [String: String] {
        var regions: [String: String] = [:]
        for bucket in buckets {
            do {
                let info = try await call.service.bucket(bucket.name)
                regions[bucket.name] = S3Gateway.location(of: info) ?? settings.region
            } catch ObjectError.noSuchBucket {
                // It is listed still, and may be again.
            }
        }
        return regions
    }

    func createBucket(_ call: Call) async throws -> HTTPResponse {
        var call = call
        let document = try await call.body.collect(limit: XMLReader.maximumBytes)
        var settings = try newSettings(call)
        if !document.isEmpty { try configure(&settings, try S3Gateway.parse(document)) }
        do {
            _ = try await call.service.createBucket(call.bucket, settings: settings)
        } catch ObjectError.bucketExists {
            throw await existingBucketError(call)
        }
        return HTTPResponse(
            status: 200, headers: HTTPHeaders([("location", "/\(call.bucket)")]))
    }

    /// What the document of a CreateBucket sets: tags, and a region. A network has none, so that any
    /// will do; it is told again to who asks.
    private func configure(
        _ bucket: inout BucketSettings, _ root: XMLElement
    ) throws(S3Error) {
        guard root.name == "CreateBucketConfiguration" else { throw .malformedXML }
        guard root.child("Location") == nil, root.child("Bucket") == nil else {
            throw .notImplemented("CreateBucket of directory buckets")
        }
        if let region = root.text(of: "LocationConstraint"), !region.isEmpty {
            guard S3Gateway.isRegion(region) else {
                var error = S3Error(
                    "InvalidLocationConstraint", 400,
                    "The specified location-constraint is not valid: \(region)")
                error.details = ["LocationConstraint": region]
                throw error
            }
            bucket.documents[DocumentName.location] = Array(region.utf8)
        }
        guard let tags = root.child("Tags") else { return }
        do throws(DocumentFault) {
            let set = try TagSet(tags, of: .bucket)
            if !set.tags.isEmpty { bucket.documents[DocumentName.tagging] = set.document }
        } catch {
            throw S3Error(error)
        }
    }

    private static let maximumRegionBytes = 63

    /// What could be the name of one: labels, as all of S3's are.
    private static func isRegion(_ name: String) -> Bool {
        name.utf8.count <= maximumRegionBytes
            && name.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "a")...UInt8(ascii: "z"),
                    UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
                    true
                default: false
                }
            }
    }

    /// What the bucket was created with; nil: nothing, the gateway's.
    private static func location(of bucket: BucketInfo) -> String? {
        bucket.settings.documents[DocumentName.location].map { String(decoding: $0, as: UTF8.self) }
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
        let bucket = try await call.service.bucket(call.bucket)
        let region = S3Gateway.location(of: bucket) ?? settings.region
        return HTTPResponse(
            status: 200, headers: HTTPHeaders([("x-amz-bucket-region", region)]))
    }

    func getBucketLocation(_ call: Call) async throws -> HTTPResponse {
        let bucket = try await call.service.bucket(call.bucket)
        guard let region = S3Gateway.location(of: bucket) else {
            return S3Gateway.xml(XMLWriter.emptyDocument("LocationConstraint"))
        }
        return S3Gateway.xml(XMLWriter.document("LocationConstraint", text: region))
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
