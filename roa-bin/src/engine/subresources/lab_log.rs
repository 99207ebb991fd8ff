//! `labinstances/log`: what a lab's process wrote, as `pods/log` is asked for.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use hyper::body::Bytes;
use roa_core::{Clock, KindDescriptor, Object, Spec as _};
use roa_lab::provision::{LabLogs, LogError, LogStream};
use roa_lab::{Lab, LabInstance};
use roa_server::{Subresource, SubresourceAnswer, SubresourceError, SubresourceParameter, SubresourceRequest};

/// What the labs of this machine wrote.
#[derive(Debug)]
pub(super) struct LabLog {
    logs: LabLogs,
    data_dir: PathBuf,
    clock: Arc<dyn Clock>,
}

impl LabLog {
    pub(super) fn new(data_dir: &Path, clock: Arc<dyn Clock>) -> Self {
        Self { logs: LabLogs::new(data_dir), data_dir: data_dir.to_owned(), clock }
    }

    async fn read_of(
        &self,
        lab: &Lab,
        asked: &SubresourceRequest,
    ) -> Result<Result<SubresourceAnswer, LogError>, SubresourceError> {
        let uid = &lab.metadata.uid;
        let (follow, previous) = (asked.flag("follow")?, asked.flag("previous")?);
        let tail = asked.number("tailLines")?.map(|lines| usize::try_from(lines).unwrap_or(usize::MAX));
        if follow && previous {
            let message = "follow and previous exclude each other: a run that has ended says nothing more";
            return Err(SubresourceError::BadRequest(message.to_owned()));
        }
        Ok(if follow {
            let stream = self.logs.follow(uid, tail, Arc::clone(&self.clock)).await;
            stream.map(|stream| SubresourceAnswer::coming(pieces(stream).boxed()))
        } else if previous {
            self.logs.read_previous(uid, tail).await.map(SubresourceAnswer::text)
        } else {
            self.logs.read(uid, tail).await.map(SubresourceAnswer::text)
        })
    }
}

#[async_trait]
impl Subresource for LabLog {
    fn name(&self) -> &'static str {
        "log"
    }

    fn description(&self) -> &'static str {
        "What the lab's process wrote, without the values of its secret variables."
    }

    fn is_of(&self, kind: &KindDescriptor) -> bool {
        (&*kind.group, &*kind.plural) == (LabInstance::GROUP, LabInstance::PLURAL)
    }

    fn parameters(&self) -> &'static [SubresourceParameter] {
        const fn parameter(name: &'static str, kind: &'static str, description: &'static str) -> SubresourceParameter {
            SubresourceParameter { name, kind, description }
        }
        const PARAMETERS: &[SubresourceParameter] = &[
            parameter("follow", "boolean", "Go on with what it writes from now on, until it is gone."),
            parameter("tailLines", "integer", "Only so many of the last lines that were kept."),
            parameter("previous", "boolean", "What it wrote in its run before this one."),
        ];
        PARAMETERS
    }

    async fn read(&self, asked: SubresourceRequest) -> Result<SubresourceAnswer, SubresourceError> {
        let lab = Object::<LabInstance>::from_dynamic(&asked.object).map_err(roa_core::Error::from)?;
        match self.read_of(&lab, &asked).await? {
            Ok(answer) => Ok(answer),
            Err(LogError::Absent { .. }) => {
                let name = &lab.metadata.name;
                let why = why_there_is_none(&lab, &self.data_dir).await;
                Err(SubresourceError::NotFound(format!("lab {name} has no output here: {why}")))
            }
            Err(error @ LogError::NoPrevious { .. }) => Err(SubresourceError::NotFound(error.to_string())),
            Err(error) => {
                tracing::warn!(%error, "the output of a lab can't be read");
                Err(SubresourceError::Unavailable("the output of the lab can't be read".to_owned()))
            }
        }
    }
}

fn pieces(stream: LogStream) -> impl futures_util::Stream<Item = Bytes> + Send {
    stream::unfold(stream, async |mut stream| match stream.next().await {
        Ok(piece) => piece.map(|piece| (Bytes::from(piece), stream)),
        Err(error) => {
            tracing::warn!(%error, "the output of a lab is not followed any longer");
            None
        }
    })
}

/// Why a lab that there is has no output in this data directory.
pub(crate) async fn why_there_is_none(lab: &Lab, data_dir: &Path) -> String {
    let status = &lab.status;
    let Some(allocation) = &status.allocation else {
        return format!("it is {} and does not run; {}", status.state(), status.message);
    };
    if allocation.provisioner != "process" {
        return format!("it is a {:?} lab, and only \"process\" labs write any", allocation.provisioner);
    }
    let here = tokio::fs::read_to_string(data_dir.join("node-id")).await.unwrap_or_default();
    if here.trim() != allocation.node {
        return format!("it is on node {}; hint: run this there, with its --data-dir", allocation.node);
    }
    format!("it is {} and has not been started yet", status.state())
}
