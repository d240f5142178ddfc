/// How objects of a bucket are encrypted if their writer says nothing:
/// `ServerSideEncryptionConfiguration`. All objects of a network are encrypted; this is about what
/// answers say of it.
package struct BucketEncryption: Equatable, Sendable {
    package private(set) var usesBucketKey = false

    package init() {}

    package init(parsing bytes: [UInt8]) throws(DocumentFault) {
        let root = try XMLElement.document(bytes, root: "ServerSideEncryptionConfiguration")
        let rules = root.children(named: "Rule")
        guard rules.count == 1, let rule = rules.first else { throw .malformedXML }
        usesBucketKey = try rule.flag("BucketKeyEnabled") ?? false
        guard let standard = try rule.only("ApplyServerSideEncryptionByDefault") else { return }
        switch standard.text(of: "SSEAlgorithm") {
        case "AES256":
            guard standard.child("KMSMasterKeyID") == nil else {
                throw .invalidArgument(
                    "a KMSMasterKeyID is not applicable if the default sse algorithm is not "
                        + "aws:kms")
            }
        case "aws:kms", "aws:kms:dsse":
            throw DocumentFault(
                "NotImplemented", 501, "There is no key management service here: use AES256")
        default: throw .malformedXML
        }
    }

    package var document: [UInt8] {
        XMLWriter.document("ServerSideEncryptionConfiguration") { xml in
            xml.element("Rule") { xml in
                xml.element("ApplyServerSideEncryptionByDefault") {
                    $0.element("SSEAlgorithm", "AES256")
                }
                xml.element("BucketKeyEnabled", usesBucketKey)
            }
        }
    }
}
