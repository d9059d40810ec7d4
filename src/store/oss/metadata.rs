//! What a machine of Alibaba Cloud tells of itself:
//! <https://www.alibabacloud.com/help/en/ecs/user-guide/view-instance-metadata>.

use bytes::Bytes;
use http::{Request, StatusCode};
use reqsign_core::Context;

use crate::store::rest::Failure;

const SERVICE: &str = "http://100.100.100.200";

/// How long the token for one question is good, in seconds.
const TOKEN_FOR: &str = "60";

/// The region that the machine is in, as kOps asks for it where none is set.
pub(super) async fn region(context: &Context) -> Result<String, Failure> {
    let unknown = |why: &str| {
        Failure::unsent(format!(
            "the bucket's region isn't known: set OSS_REGION or ?region=, such as cn-hangzhou \
             (this machine doesn't tell its own: {why})"
        ))
    };
    let disabled = context.env_var("ALIBABA_CLOUD_ECS_METADATA_DISABLED");
    if disabled.is_some_and(|text| text.eq_ignore_ascii_case("true")) {
        return Err(unknown("ALIBABA_CLOUD_ECS_METADATA_DISABLED is true"));
    }
    match ask(context).await {
        Ok((StatusCode::OK, region)) if !region.trim().is_empty() => Ok(region.trim().to_owned()),
        Ok((status, _)) => Err(unknown(&format!("it answers {status}"))),
        Err(error) => Err(unknown(&error.to_string())),
    }
}

async fn ask(context: &Context) -> reqsign_core::Result<(StatusCode, String)> {
    let given = context.env_var("ALIBABA_CLOUD_ECS_METADATA_SERVICE_ENDPOINT");
    let service = given.filter(|text| !text.is_empty());
    let service = service.as_deref().unwrap_or(SERVICE);
    let token = Request::put(format!("{service}/latest/api/token"))
        .header("x-aliyun-ecs-metadata-token-ttl-seconds", TOKEN_FOR)
        .body(Bytes::new())?;
    let token = context.http_send_as_string(token).await?;
    let mut question = Request::get(format!("{service}/latest/meta-data/region-id"));
    // Older machines have no tokens.
    if token.status() == StatusCode::OK {
        question = question.header("x-aliyun-ecs-metadata-token", token.into_body().trim());
    }
    let answer = context
        .http_send_as_string(question.body(Bytes::new())?)
        .await?;
    Ok((answer.status(), answer.into_body()))
}
