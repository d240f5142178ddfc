/// The ACL that the headers of a request ask for: one of S3's canned ones, or grants one by one.
package enum RequestedACL: Equatable, Sendable {
    case canned(CannedACL)
    case grants([AccessControlList.Grant])

    private static let grantHeaders: [(name: String, permission: ACLPermission)] = [
        ("x-amz-grant-full-control", .fullControl), ("x-amz-grant-read", .read),
        ("x-amz-grant-read-acp", .readACL), ("x-amz-grant-write", .write),
        ("x-amz-grant-write-acp", .writeACL),
    ]

    /// nil without any such header; `header` gives the value of one by its lower-case name.
    package init?(header: (String) -> String?) throws(DocumentFault) {
        var grants: [AccessControlList.Grant] = []
        var hasGrants = false
        for (name, permission) in RequestedACL.grantHeaders {
            guard let value = header(name) else { continue }
            hasGrants = true
            grants += try RequestedACL.grants(value, permission)
        }
        guard let name = header("x-amz-acl") else {
            guard hasGrants else { return nil }
            guard grants.count <= AccessControlList.maximumGrants else {
                throw .invalidRequest("An ACL has at most 100 grants")
            }
            self = .grants(grants)
            return
        }
        guard !hasGrants else {
            throw .invalidRequest(
                "Specifying both Canned ACLs and Header Grants is not allowed")
        }
        guard let canned = CannedACL(rawValue: name) else {
            throw .invalidArgument("x-amz-acl is none of the canned ACLs: \(name)")
        }
        self = .canned(canned)
    }

    /// `id="…", uri="…", emailAddress="…"`, with or without quotes.
    private static func grants(
        _ value: String, _ permission: ACLPermission
    ) throws(DocumentFault) -> [AccessControlList.Grant] {
        var grants: [AccessControlList.Grant] = []
        for part in value.split(separator: ",") {
            let pair = part.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
            guard pair.count == 2 else {
                throw .invalidArgument("Argument format not recognized")
            }
            let text = bare(pair[1])
            switch bare(pair[0]).lowercased() {
            case "id": grants.append(.init(try AccessControlList.account(text), permission))
            case "uri": grants.append(.init(try AccessControlList.group(text), permission))
            case "emailaddress": throw AccessControlList.unknownAddress
            default: throw .invalidArgument("Argument format not recognized")
            }
        }
        return grants
    }

    private static func bare(_ text: Substring) -> String {
        let isOutside: (Character) -> Bool = { $0 == " " || $0 == "\t" || $0 == "\"" }
        guard let first = text.firstIndex(where: { !isOutside($0) }),
            let last = text.lastIndex(where: { !isOutside($0) })
        else { return "" }
        return String(text[first...last])
    }

    /// The list that it comes to for what `owner` owns in a bucket of `bucketOwner`.
    package func list(owner: String, bucketOwner: String) -> AccessControlList {
        switch self {
        case .grants(let grants): AccessControlList(owner: owner, grants: grants)
        case .canned(let canned): canned.list(owner: owner, bucketOwner: bucketOwner)
        }
    }
}

/// The ACLs to which S3 gives names.
package enum CannedACL: String, CaseIterable, Sendable {
    case `private`
    case publicRead = "public-read"
    case publicReadWrite = "public-read-write"
    case authenticatedRead = "authenticated-read"
    case awsExecRead = "aws-exec-read"
    case bucketOwnerRead = "bucket-owner-read"
    case bucketOwnerFullControl = "bucket-owner-full-control"
    case logDeliveryWrite = "log-delivery-write"

    func list(owner: String, bucketOwner: String) -> AccessControlList {
        var list = AccessControlList.private(owner: owner)
        switch self {
        // Of `aws-exec-read` the reader is a service that does not exist here.
        case .private, .awsExecRead: break
        case .publicRead: list.grants.append(.init(.group(.everybody), .read))
        case .publicReadWrite:
            list.grants.append(.init(.group(.everybody), .read))
            list.grants.append(.init(.group(.everybody), .write))
        case .authenticatedRead: list.grants.append(.init(.group(.authenticated), .read))
        case .bucketOwnerRead where bucketOwner != owner:
            list.grants.append(.init(.account(bucketOwner), .read))
        case .bucketOwnerFullControl where bucketOwner != owner:
            list.grants.append(.init(.account(bucketOwner), .fullControl))
        case .bucketOwnerRead, .bucketOwnerFullControl: break
        case .logDeliveryWrite:
            list.grants.append(.init(.group(.logDelivery), .write))
            list.grants.append(.init(.group(.logDelivery), .readACL))
        }
        return list
    }
}
