internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// Versioning of buckets, and listings of versions.
extension S3Gateway {
    func getBucketVersioning(_ call: Call) async throws -> HTTPResponse {
        let bucket = try await call.service.bucket(call.bucket)
        return S3Gateway.xml(
            XMLWriter.document("VersioningConfiguration") { xml in
                switch bucket.settings.versioning {
                case .never: break
                case .enabled: xml.element("Status", "Enabled")
                case .suspended: xml.element("Status", "Suspended")
                }
            })
    }

    func putBucketVersioning(_ call: Call) async throws -> HTTPResponse {
        var call = call
        let root = try S3Gateway.parse(try await call.body.collect(limit: XMLReader.maximumBytes))
        guard root.name == "VersioningConfiguration" else { throw S3Error.malformedXML }
        if root.text(of: "MfaDelete") == "Enabled" {
            throw S3Error.notImplemented("PutBucketVersioning with MFA delete")
        }
        let versioning: BucketVersioning
        switch root.text(of: "Status") {
        case "Enabled": versioning = .enabled
        case "Suspended": versioning = .suspended
        case nil:
            throw S3Error(
                "IllegalVersioningConfigurationException", 400,
                "The Versioning element must be specified")
        default: throw S3Error.malformedXML
        }
        _ = try await call.service.updateBucket(call.bucket) { settings in
            if versioning == .suspended, settings.documents[DocumentName.objectLock] != nil {
                throw S3Error(
                    "InvalidBucketState", 409,
                    "An Object Lock configuration is present on this bucket, so the versioning "
                        + "state cannot be changed.")
            }
            settings.versioning = versioning
        }
        return HTTPResponse(status: 200)
    }

    // MARK: Listing

    func listObjectVersions(_ call: Call) async throws -> HTTPResponse {
        let query = try ListingQuery(call.query)
        var request = VersionListRequest()
        request.prefix = query.request.prefix
        request.delimiter = query.request.delimiter
        request.limit = query.maxKeys
        request.startAfter = call.query["key-marker"] ?? ""
        if let marker = call.query["version-id-marker"] {
            guard !request.startAfter.isEmpty else {
                throw S3Error.invalidArgument(
                    "A version-id marker cannot be specified without a key marker.")
            }
            request.startAfterVersion = marker.isEmpty ? nil : marker
        }
        let page =
            query.maxKeys > 0
            ? try await call.service.listVersions(call.bucket, request) : VersionListing()
        if query.maxKeys == 0 { _ = try await call.service.bucket(call.bucket) }
        return S3Gateway.xml(
            XMLWriter.document("ListVersionsResult") { xml in
                xml.element("Name", call.bucket)
                xml.element("Prefix", query.shown(request.prefix))
                xml.element("KeyMarker", query.shown(request.startAfter))
                xml.element("VersionIdMarker", request.startAfterVersion ?? "")
                if let next = page.next {
                    xml.element("NextKeyMarker", query.shown(next.key))
                    if let version = next.version { xml.element("NextVersionIdMarker", version) }
                }
                xml.element("MaxKeys", query.maxKeys)
                if let delimiter = request.delimiter {
                    xml.element("Delimiter", query.shown(delimiter))
                }
                if query.encodesNames { xml.element("EncodingType", "url") }
                xml.element("IsTruncated", page.next != nil)
                for version in page.versions { write(version, &xml, call, query) }
                for prefix in page.commonPrefixes {
                    xml.element("CommonPrefixes") { $0.element("Prefix", query.shown(prefix)) }
                }
            })
    }

    private func write(
        _ version: ListedVersion, _ xml: inout XMLWriter, _ call: Call, _ query: ListingQuery
    ) {
        let info = version.info
        xml.element(info.isDeleteMarker ? "DeleteMarker" : "Version") { xml in
            xml.element("Key", query.shown(info.key))
            xml.element("VersionId", info.versionID ?? "null")
            xml.element("IsLatest", version.isLatest)
            xml.element("LastModified", info.modified.rfc3339)
            if !info.isDeleteMarker {
                xml.element("ETag", "\"\(info.etag)\"")
                S3Headers.writeAlgorithms(&xml, info.checksums)
                xml.element("Size", info.size)
                xml.element("StorageClass", S3Headers.storageClass(info.headers))
            }
            writeOwner(&xml, call, of: info)
        }
    }
}

extension S3Gateway {
    /// Reads a version; where that only says that its key was deleted, the answer depends on whether
    /// the request named it.
    static func named<Value>(
        _ version: String?, _ read: () async throws -> Value
    ) async throws -> Value {
        do {
            return try await read()
        } catch ObjectError.deleteMarker(let id, let modified) where version != nil {
            var error = S3Error.methodNotAllowed("of the request")
            error.headers = [
                "x-amz-delete-marker": "true", "x-amz-version-id": id, "allow": "DELETE",
                "last-modified": CivilDate(modified).http,
            ]
            throw error
        }
    }
}

extension S3Headers {
    /// Checks the form of a version ID, as S3 does before it looks for it.
    static func version(_ text: String?) throws(S3Error) -> String? {
        guard let text else { return nil }
        guard !text.isEmpty else {
            throw .invalidArgument("Version id cannot be the empty string")
        }
        guard text == "null" || text.utf8.allSatisfy({ isHexDigit($0) }) && text.utf8.count == 32
        else { throw .invalidArgument("Invalid version id specified") }
        return text
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"): true
        default: false
        }
    }

    static func addVersion(_ id: String?, to headers: inout HTTPHeaders) {
        if let id { headers.add("x-amz-version-id", id) }
    }
}
