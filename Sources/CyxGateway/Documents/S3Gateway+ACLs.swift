internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

extension S3Gateway {
    /// What an account is called here; nil for accounts of other gateways.
    func accountName(_ id: String) -> String? { accounts.account(id: id)?.name }

    private func xml(_ list: AccessControlList) -> HTTPResponse {
        S3Gateway.xml(list.document(name: accountName))
    }

    // MARK: Buckets

    func getBucketAcl(_ call: Call) throws(S3Error) -> HTTPResponse {
        guard let access = call.access else { throw .denied }
        return xml(access.hasACLs ? access.acl : .private(owner: access.owner))
    }

    func putBucketAcl(_ call: Call) async throws -> HTTPResponse {
        guard let access = call.access else { throw S3Error.denied }
        let list = try await requestedList(call, owner: access.owner)
        try access.checkACLsAllowed(list)
        let bytes = access.hasACLs ? list.document { _ in nil } : nil
        _ = try await call.service.updateBucket(call.bucket) {
            if let bytes { $0.documents[DocumentName.acl] = bytes }
        }
        return HTTPResponse(status: 200)
    }

    /// The ACL of the body or of the headers, of which there must be one.
    private func requestedList(_ call: Call, owner: String) async throws -> AccessControlList {
        let headers = call.headers
        let (bucketOwner, hasACLs) = (call.owner, call.access?.hasACLs ?? true)
        let list = try await read(call) { bytes throws(DocumentFault) in
            if let requested = try RequestedACL(header: { headers[$0] }) {
                guard bytes.isEmpty else {
                    throw DocumentFault(
                        "UnexpectedContent", 400,
                        "This request does not support content: its headers say the ACL")
                }
                if !hasACLs, case .canned(let name) = requested, name != .bucketOwnerFullControl {
                    throw BucketAccess.notSupported
                }
                return requested.list(owner: owner, bucketOwner: bucketOwner)
            }
            guard !bytes.isEmpty else {
                throw DocumentFault(
                    "MissingSecurityHeader", 400,
                    "Your request was missing a required header: x-amz-acl, x-amz-grant-…, or "
                        + "a body")
            }
            return try AccessControlList(parsing: bytes, owner: owner)
        }
        // What somebody owns is not given away by an ACL.
        guard list.owner == owner else { throw S3Error.denied }
        return list
    }

    // MARK: Objects

    func getObjectAcl(_ call: Call) async throws -> HTTPResponse {
        guard let access = call.access else { throw S3Error.denied }
        let info = try await head(call)
        return xml(try access.side(of: info).acl)
    }

    func putObjectAcl(_ call: Call) async throws -> HTTPResponse {
        guard let access = call.access else { throw S3Error.denied }
        let version = call.versionID
        let info = try await head(call)
        let owner = try access.side(of: info).owner
        let list = try await requestedList(call, owner: owner)
        try access.checkACLsAllowed(list)
        guard access.hasACLs else { return HTTPResponse(status: 200) }
        let bytes = list == .private(owner: access.owner) ? nil : list.document { _ in nil }
        _ = try await call.service.updateAttributes(
            of: call.key, version: version ?? info.versionID, in: call.bucket
        ) { $0[DocumentName.acl] = bytes }
        return HTTPResponse(status: 200)
    }

    // MARK: Owners in answers

    func writeOwner(_ xml: inout XMLWriter, id: String, as name: String = "Owner") {
        xml.element(name) { xml in
            xml.element("ID", id)
            xml.element("DisplayName", accountName(id) ?? id)
        }
    }

    /// The owner of a listed object.
    func writeOwner(_ xml: inout XMLWriter, _ call: Call, of info: ObjectInfo) {
        var owner = call.owner
        do {
            if let access = call.access { owner = try access.side(of: info).owner }
        } catch {
            environment.logger.warning("unreadable ACL", [("key", info.key)])
        }
        writeOwner(&xml, id: owner)
    }
}
