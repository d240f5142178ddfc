internal import CyxS3

/// Names of files for who stores what a link gives.
enum FileName {
    /// What comes after the last slash of a key; the whole of one that ends with a slash.
    static func last(of key: String) -> String {
        guard !key.utf8.isEmpty, let slash = key.utf8.lastIndex(of: UInt8(ascii: "/")) else {
            return key
        }
        let name = String(decoding: key.utf8[key.utf8.index(after: slash)...], as: UTF8.self)
        return name.isEmpty ? key : name
    }

    /// An attachment of that name (RFC 6266), in both spellings: the first for clients that know no
    /// other, with everything in it replaced that could end it.
    static func disposition(_ name: String) -> String {
        let plain = name.unicodeScalars.map { scalar -> Character in
            let isPlain = scalar.isASCII && scalar.value >= 0x20 && scalar.value != 0x7F
            return isPlain && !"\"\\%/".unicodeScalars.contains(scalar) ? Character(scalar) : "_"
        }
        return "attachment; filename=\"\(String(plain))\"; filename*=UTF-8''"
            + PercentEncoding.encode(name)
    }
}

extension String {
    /// The rest after a prefix that it has, by bytes: a mark that combines with the prefix's last
    /// letter stays.
    func droppingPrefix(_ prefix: String) -> String {
        String(decoding: utf8.dropFirst(prefix.utf8.count), as: UTF8.self)
    }
}

/// How a page shows an object of some kind.
enum Preview: Equatable {
    case image, audio, video, text, none

    /// `type` is what its writer said that it is. SVG can hold scripts, and PDF needs a program of the
    /// browser's that a sandbox keeps out: neither is shown.
    init(_ type: String) {
        let name = type.prefix { $0 != ";" }.trimmingSpaces().lowercased()
        switch name {
        case "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp":
            self = .image
        case "audio/mpeg", "audio/mp4", "audio/aac", "audio/ogg", "audio/wav", "audio/webm",
            "audio/flac", "audio/x-wav":
            self = .audio
        case "video/mp4", "video/webm", "video/ogg": self = .video
        case "application/json", "application/xml", "application/yaml": self = .text
        default: self = name.hasPrefix("text/") ? .text : .none
        }
    }

    /// Whether the page names the bytes for the browser to fetch; a text stands in the page itself.
    var isEmbedded: Bool { self == .image || self == .audio || self == .video }
}
