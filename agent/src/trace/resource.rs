//! The resource: what the spans are about, and where.

use percent_encoding::percent_decode_str;

use super::names;
use super::wire::{self, Field};

/// Environment variable with the service's name.
pub const SERVICE_NAME_VARIABLE: &str = "OTEL_SERVICE_NAME";
/// Environment variable with further attributes.
pub const RESOURCE_ATTRIBUTES_VARIABLE: &str = "OTEL_RESOURCE_ATTRIBUTES";
/// Environment variable with the Kubernetes node's name, set from `spec.nodeName` by the downward
/// API.
pub const NODE_NAME_VARIABLE: &str = "K8S_NODE_NAME";

const DEFAULT_SERVICE_NAME: &str = "openvswitch";
/// `Resource.attributes`.
const RESOURCE_ATTRIBUTES: Field = 1;

/// An OpenTelemetry resource: unique keys with string values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resource {
    attributes: Vec<(String, String)>,
}

impl Resource {
    /// The resource of the spans of one node.
    ///
    /// service.name is `openvswitch` and service.version upspan's version; `host_name` (see
    /// [`host_name`]) and `K8S_NODE_NAME` give host.name and k8s.node.name. What
    /// `OTEL_RESOURCE_ATTRIBUTES` says replaces these or comes on top, and `OTEL_SERVICE_NAME` has
    /// the last word on service.name. `variable` looks an environment variable up; an empty one
    /// counts as unset.
    ///
    /// # Errors
    /// [`ResourceError`] if `OTEL_RESOURCE_ATTRIBUTES` is malformed; the specification (Resource
    /// SDK, "Specifying resource information via an environment variable") wants all of it
    /// discarded then.
    pub fn from_env(
        host_name: Option<&str>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ResourceError> {
        let set = |name| variable(name).filter(|value| !value.is_empty());
        let mut resource = Self { attributes: Vec::new() };
        resource.set(names::SERVICE_NAME.name(), DEFAULT_SERVICE_NAME);
        resource.set(names::SERVICE_VERSION.name(), names::SCOPE_VERSION);
        if let Some(host) = host_name {
            resource.set(names::HOST_NAME.name(), host);
        }
        if let Some(node) = set(NODE_NAME_VARIABLE) {
            resource.set(names::K8S_NODE_NAME.name(), &node);
        }
        if let Some(list) = set(RESOURCE_ATTRIBUTES_VARIABLE) {
            for member in list.split(',').map(str::trim).filter(|member| !member.is_empty()) {
                let (key, value) = parse_member(member)?;
                resource.set(&key, &value);
            }
        }
        if let Some(service) = set(SERVICE_NAME_VARIABLE) {
            resource.set(names::SERVICE_NAME.name(), &service);
        }
        Ok(resource)
    }

    /// Sets an attribute; an earlier value of the same key is replaced.
    pub fn set(&mut self, key: &str, value: &str) {
        match self.attributes.iter_mut().find(|(known, _)| known == key) {
            Some((_, old)) => value.clone_into(old),
            None => self.attributes.push((key.to_owned(), value.to_owned())),
        }
    }

    /// The value of an attribute.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.attributes.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Keys and values, in the order in which they were set.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.attributes.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Writes the fields of an OTLP `Resource`.
    pub(super) fn encode(&self, buf: &mut Vec<u8>) {
        for (key, value) in self.iter() {
            wire::string_attribute(buf, RESOURCE_ATTRIBUTES, key, value);
        }
    }
}

/// The name of this host: `uname(2)`'s node name.
#[must_use]
pub fn host_name() -> Option<String> {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    (!name.is_empty()).then_some(name)
}

fn parse_member(member: &str) -> Result<(String, String), ResourceError> {
    let (key, value) = member
        .split_once('=')
        .ok_or_else(|| ResourceError::NoValue { member: member.to_owned() })?;
    let (key, value) = (decode(key.trim(), member)?, decode(value.trim(), member)?);
    if key.is_empty() {
        return Err(ResourceError::NoKey { member: member.to_owned() });
    }
    Ok((key, value))
}

fn decode(text: &str, member: &str) -> Result<String, ResourceError> {
    let escapes = text.split('%').skip(1);
    let malformed = |escape: &str| {
        !escape.as_bytes().get(..2).is_some_and(|hex| hex.iter().all(u8::is_ascii_hexdigit))
    };
    if escapes.into_iter().any(malformed) {
        return Err(ResourceError::Escape { member: member.to_owned() });
    }
    let decoded = percent_decode_str(text)
        .decode_utf8()
        .map_err(|_| ResourceError::Utf8 { member: member.to_owned() })?;
    Ok(decoded.into_owned())
}

/// What is wrong with `OTEL_RESOURCE_ATTRIBUTES`.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ResourceError {
    /// A member without `=`.
    #[error("OTEL_RESOURCE_ATTRIBUTES: `{member}` has no `=`; write key=value,key=value")]
    NoValue {
        /// The text between two commas.
        member: String,
    },
    /// Nothing before the `=`.
    #[error("OTEL_RESOURCE_ATTRIBUTES: `{member}` has no key before its `=`")]
    NoKey {
        /// The text between two commas.
        member: String,
    },
    /// A `%` that is not followed by two hexadecimal digits.
    #[error("OTEL_RESOURCE_ATTRIBUTES: `{member}` has a stray `%`; write a literal one as %25")]
    Escape {
        /// The text between two commas.
        member: String,
    },
    /// Escapes that give no UTF-8.
    #[error(
        "OTEL_RESOURCE_ATTRIBUTES: `{member}` does not decode to UTF-8; escape the UTF-8 bytes"
    )]
    Utf8 {
        /// The text between two commas.
        member: String,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Vec<(String, String)>, ResourceError> {
        let lookup = |name: &str| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        };
        Resource::from_env(Some("worker-3"), lookup).map(|resource| resource.attributes)
    }

    fn pairs(expected: &[(&str, &str)]) -> Result<Vec<(String, String)>, ResourceError> {
        Ok(expected.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn defaults_name_service_version_and_host() {
        let version = env!("CARGO_PKG_VERSION");
        let expected = pairs(&[
            ("service.name", "openvswitch"),
            ("service.version", version),
            ("host.name", "worker-3"),
        ]);
        assert_eq!(from(&[]), expected);
        let empty = [SERVICE_NAME_VARIABLE, RESOURCE_ATTRIBUTES_VARIABLE, NODE_NAME_VARIABLE];
        assert_eq!(from(&empty.map(|name| (name, ""))), expected);
    }

    #[test]
    fn environment_replaces_and_adds() {
        let expected = pairs(&[
            ("service.name", "ovs-b"),
            ("service.version", "3.5.0"),
            ("host.name", "worker-3"),
            ("k8s.node.name", "node-7"),
            ("team", "net, core=1 ü"),
            ("empty", ""),
        ]);
        let list =
            "service.name=ovs-a, service.version = 3.5.0 ,team=net%2C%20core=1 %C3%BC,empty=,";
        assert_eq!(
            from(&[
                (RESOURCE_ATTRIBUTES_VARIABLE, list),
                (SERVICE_NAME_VARIABLE, "ovs-b"),
                (NODE_NAME_VARIABLE, "node-7"),
            ]),
            expected
        );
    }

    #[test]
    fn malformed_lists_are_refused_with_the_culprit() {
        let error = |list| from(&[(RESOURCE_ATTRIBUTES_VARIABLE, list)]).expect_err("malformed");
        let member = |text: &str| text.to_owned();
        assert_eq!(error("a=1,b"), ResourceError::NoValue { member: member("b") });
        assert_eq!(error("=1"), ResourceError::NoKey { member: member("=1") });
        assert_eq!(error("a=100%"), ResourceError::Escape { member: member("a=100%") });
        assert_eq!(error("a=%4x"), ResourceError::Escape { member: member("a=%4x") });
        assert_eq!(error("a=%ff"), ResourceError::Utf8 { member: member("a=%ff") });
    }

    #[test]
    fn this_host_has_a_name() {
        assert!(host_name().is_some());
    }

    proptest! {
        #[test]
        fn any_list_parses_or_is_refused(list in ".{0,200}") {
            let _ = from(&[(RESOURCE_ATTRIBUTES_VARIABLE, &list)]);
        }

        #[test]
        fn any_value_survives_percent_encoding(key in "[a-z.]{1,20}", value in ".{0,50}") {
            let escaped: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
            let list = format!("x.{key}={escaped}");
            let resource = from(&[(RESOURCE_ATTRIBUTES_VARIABLE, &list)]);
            let expected = (format!("x.{key}"), value);
            prop_assert!(resource.is_ok_and(|all| all.contains(&expected)));
        }
    }
}
