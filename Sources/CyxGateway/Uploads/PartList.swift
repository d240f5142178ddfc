internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

/// The parts that a completion names, and what it promises about them.
struct PartList: Sendable {
    private(set) var parts: [(number: Int, etag: String)] = []
    /// By part number and algorithm.
    private var promised: [Int: [String: String]] = [:]

    init(_ root: XMLElement) throws(S3Error) {
        for element in root.children(named: "Part") {
            guard let number = element.text(of: "PartNumber").flatMap({ Int($0) }),
                S3Gateway.partNumbers.contains(number), let etag = element.child("ETag")
            else { throw .malformedXML }
            guard number > parts.last?.number ?? 0 else {
                throw S3Error(
                    "InvalidPartOrder", 400,
                    "The list of parts was not in ascending order: \(number) comes too late")
            }
            parts.append((number, S3Headers.unquoted(etag.text)))
            for algorithm in ChecksumAlgorithm.allCases {
                guard let value = element.text(of: "Checksum\(algorithm.name)") else { continue }
                promised[number, default: [:]][algorithm.rawValue] = value
            }
        }
        guard root.name == "CompleteMultipartUpload", !parts.isEmpty,
            parts.count <= S3Gateway.partNumbers.count
        else { throw .malformedXML }
    }

    /// The object's checksums out of those of the parts that were found; throws if they, or their
    /// sizes, are not what the request promises. `wanted`: what the upload keeps.
    func checksums(
        of found: [PartInfo], _ wanted: UploadChecksum?, _ headers: HTTPHeaders
    ) throws(S3Error) -> [String: String] {
        for part in found {
            for (algorithm, value) in promised[part.number] ?? [:] {
                guard let known = part.checksums[algorithm], known != value else { continue }
                throw S3Error(
                    "InvalidPart", 400,
                    "The \(algorithm) checksum of part \(part.number) is \(known), not \(value)")
            }
        }
        if let text = headers["x-amz-mp-object-size"] {
            let size = found.reduce(UInt64(0)) { $0 + $1.size }
            guard UInt64(text) == size else {
                throw .invalidRequest(
                    "The provided 'x-amz-mp-object-size' header value \(text) does not match what "
                        + "was computed: \(size)")
            }
        }
        let type = headers["x-amz-checksum-type"]
        guard let wanted else { return [:] }
        guard type == nil || type == wanted.type.rawValue || wanted.isImplied else {
            throw .invalidRequest(
                "The upload was created using the \(wanted.type.rawValue) checksum mode. The "
                    + "complete request must use the same checksum mode.")
        }
        guard let value = wanted.joined(found) else { return [:] }
        if let text = headers[wanted.algorithm.header] {
            guard text == value || "\(text)-\(found.count)" == value else {
                throw S3Error(
                    "BadDigest", 400,
                    "The \(wanted.algorithm.rawValue) you specified did not match the calculated "
                        + "checksum.")
            }
        }
        return [wanted.algorithm.rawValue: value]
    }
}
