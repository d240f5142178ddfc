internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// Checksums in answers. An object has one at most, by the algorithm's name in lower case.
extension S3Headers {
    /// Without the type, as of a part.
    static func addChecksums(_ checksums: [String: String], to headers: inout HTTPHeaders) {
        for (algorithm, value) in shown(checksums) { headers.add(algorithm.header, value) }
    }

    /// But for what is kept of parts under names of its own.
    private static func shown(
        _ checksums: [String: String]
    ) -> [(algorithm: ChecksumAlgorithm, value: String)] {
        ChecksumAlgorithm.allCases.compactMap { algorithm in
            checksums[algorithm.rawValue].map { (algorithm, $0) }
        }
    }

    static func addObjectChecksums(_ checksums: [String: String], to headers: inout HTTPHeaders) {
        addChecksums(checksums, to: &headers)
        if let value = checksums.values.first {
            headers.add("x-amz-checksum-type", ChecksumType(of: value).rawValue)
        }
    }

    /// `ChecksumCRC32` and so on.
    static func write(_ xml: inout XMLWriter, checksums: [String: String]) {
        for (algorithm, value) in shown(checksums) {
            xml.element("Checksum\(algorithm.name)", value)
        }
    }

    static func writeObjectChecksums(_ xml: inout XMLWriter, _ checksums: [String: String]) {
        write(&xml, checksums: checksums)
        if let value = checksums.values.first {
            xml.element("ChecksumType", ChecksumType(of: value).rawValue)
        }
    }

    /// Which checksums an object in a listing has.
    static func writeAlgorithms(_ xml: inout XMLWriter, _ checksums: [String: String]) {
        for name in checksums.keys.sorted() {
            xml.element("ChecksumAlgorithm", name.uppercased())
        }
        if let value = checksums.values.first {
            xml.element("ChecksumType", ChecksumType(of: value).rawValue)
        }
    }
}
