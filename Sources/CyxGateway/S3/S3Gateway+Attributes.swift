internal import CyxCore
internal import CyxHTTP
internal import CyxObjects
internal import CyxS3

extension S3Gateway {
    private enum Attribute: String, CaseIterable {
        case etag = "ETag"
        case checksum = "Checksum"
        case parts = "ObjectParts"
        case storageClass = "StorageClass"
        case size = "ObjectSize"
    }

    func getObjectAttributes(_ call: Call) async throws -> HTTPResponse {
        var wanted: Set<Attribute> = []
        for field in call.headers.fields where field.name == "x-amz-object-attributes" {
            for name in field.value.split(separator: ",").map({ $0.trimmingSpaces() }) {
                guard let attribute = Attribute(rawValue: String(name)) else {
                    throw S3Error.invalidArgument("Invalid attribute name specified.")
                }
                wanted.insert(attribute)
            }
        }
        guard !wanted.isEmpty else {
            throw S3Error.invalidRequest(
                "The x-amz-object-attributes header specifying the attributes to be retrieved is "
                    + "either missing or empty")
        }
        let limit = try ListingQuery.count(call.headers["x-amz-max-parts"], "max-parts")
        let marker =
            try ListingQuery.number(
                call.headers["x-amz-part-number-marker"], "part-number-marker") ?? 0
        let key = try CustomerKey(call.headers)
        let version = call.versionID
        let info = try await S3Gateway.named(version) {
            try await call.service.head(call.key, version: version, in: call.bucket)
        }
        _ = try cipher(of: info, key)
        var response = S3Gateway.xml(
            XMLWriter.document("GetObjectAttributesResponse") { xml in
                if wanted.contains(.etag) { xml.element("ETag", info.etag) }
                if wanted.contains(.checksum), !info.checksums.isEmpty {
                    xml.element("Checksum") {
                        S3Headers.writeObjectChecksums(&$0, info.checksums)
                    }
                }
                if wanted.contains(.parts), !info.parts.isEmpty {
                    // S3 knows parts one by one only where the object's checksum is made of theirs.
                    let isComposite = info.checksums.values.contains {
                        ChecksumType(of: $0) == .composite
                    }
                    xml.element("ObjectParts") { xml in
                        xml.element("PartsCount", info.parts.count)
                        guard isComposite else { return }
                        S3Gateway.write(&xml, info.parts, after: marker, limit: limit)
                    }
                }
                if wanted.contains(.storageClass) {
                    xml.element("StorageClass", S3Headers.storageClass(info.headers))
                }
                if wanted.contains(.size) { xml.element("ObjectSize", info.size) }
            })
        response.headers.add("last-modified", CivilDate(info.modified).http)
        S3Headers.addVersion(info.versionID, to: &response.headers)
        return response
    }

    private static func write(
        _ xml: inout XMLWriter, _ parts: [ObjectPart], after marker: Int, limit: Int
    ) {
        let rest = parts.filter { $0.number > marker }
        let shown = rest.prefix(limit)
        xml.element("PartNumberMarker", marker)
        xml.element("NextPartNumberMarker", shown.last?.number ?? marker)
        xml.element("MaxParts", limit)
        xml.element("IsTruncated", !shown.isEmpty && shown.count < rest.count)
        for part in shown {
            xml.element("Part") { xml in
                xml.element("PartNumber", part.number)
                xml.element("Size", part.size)
                S3Headers.write(&xml, checksums: part.checksums)
            }
        }
    }
}
