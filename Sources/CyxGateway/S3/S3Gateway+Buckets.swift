internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

extension S3Gateway {
    func listBuckets(_ call: Call) async throws -> HTTPResponse {
        let buckets = try await call.service.buckets()
        return S3Gateway.xml(
            XMLWriter.document("ListAllMyBucketsResult") { xml in
                writeOwner(&xml, call)
                xml.element("Buckets") { xml in
                    for bucket in buckets.sorted(by: { isBefore($0.name, $1.name) }) {
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
        do {
            _ = try await call.service.createBucket(call.bucket)
        } catch ObjectError.bucketExists {
            throw await existingBucketError(call)
        }
        return HTTPResponse(
            status: 200, headers: HTTPHeaders([("location", "/\(call.bucket)")]))
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

    func getBucketVersioning(_ call: Call) async throws -> HTTPResponse {
        _ = try await call.service.bucket(call.bucket)
        return S3Gateway.xml(XMLWriter.emptyDocument("VersioningConfiguration"))
    }

    /// The owner alone, with full control: what S3 says of buckets and objects without an ACL.
    func getAcl(_ call: Call) async throws -> HTTPResponse {
        if let key = call.request.key {
            _ = try await call.service.head(key, in: call.bucket)
        } else {
            _ = try await call.service.bucket(call.bucket)
        }
        return S3Gateway.xml(
            XMLWriter.document("AccessControlPolicy") { xml in
                writeOwner(&xml, call)
                xml.element("AccessControlList") { xml in
                    xml.element("Grant") { xml in
                        let attributes =
                            "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" "
                            + "xsi:type=\"CanonicalUser\""
                        xml.element("Grantee", attributes: attributes) { xml in
                            xml.element("ID", call.accessKey)
                            xml.element("DisplayName", call.accessKey)
                        }
                        xml.element("Permission", "FULL_CONTROL")
                    }
                }
            })
    }

    func getObjectTagging(_ call: Call) async throws -> HTTPResponse {
        _ = try await call.service.head(call.key, in: call.bucket)
        return S3Gateway.xml(XMLWriter.document("Tagging") { $0.element("TagSet") { _ in } })
    }

    // MARK: Shared

    func writeOwner(_ xml: inout XMLWriter, _ call: Call) {
        xml.element("Owner") { xml in
            xml.element("ID", call.accessKey)
            xml.element("DisplayName", call.accessKey)
        }
    }

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
